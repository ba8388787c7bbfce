-- reverse: modify "directory_accounts" table
ALTER TABLE "directory_accounts" DROP COLUMN "two_factor";
