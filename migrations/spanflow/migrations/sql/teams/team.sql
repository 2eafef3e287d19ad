-- Which group of people a user belongs to, as far as gateways say so.

ALTER TABLE {{schema}}.user_directory ADD COLUMN IF NOT EXISTS team text;

COMMENT ON COLUMN {{schema}}.user_directory.team IS 'The team that a gateway named last';

CREATE INDEX IF NOT EXISTS user_directory_team ON {{schema}}.user_directory (team) WHERE team IS NOT NULL;
