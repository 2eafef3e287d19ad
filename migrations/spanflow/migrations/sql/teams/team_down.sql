DROP INDEX IF EXISTS {{schema}}.user_directory_team;
ALTER TABLE {{schema}}.user_directory DROP COLUMN IF EXISTS team;
