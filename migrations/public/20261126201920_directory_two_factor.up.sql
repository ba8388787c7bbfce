-- modify "directory_accounts" table
ALTER TABLE "directory_accounts" ADD COLUMN "two_factor" boolean NOT NULL DEFAULT false;
