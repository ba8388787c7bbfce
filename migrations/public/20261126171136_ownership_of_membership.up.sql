-- modify "directory_ownerships" table
ALTER TABLE "directory_ownerships" ADD COLUMN "membership_id" text NOT NULL DEFAULT '';
-- decisions that were taken already stand for the membership of today
UPDATE directory_ownerships w SET membership_id = m.id FROM directory_memberships m WHERE m.organization_id = w.organization_id AND m.account_id = w.account_id AND m.deleted_at IS NULL;
