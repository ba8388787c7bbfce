-- reverse: modify "directory_ownerships" table
ALTER TABLE "directory_ownerships" DROP COLUMN "membership_id";
