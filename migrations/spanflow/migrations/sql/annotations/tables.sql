-- What operators add to flows: links that show one to others, notes with verdicts, and searches under names.
-- `owner` identifies the operator who made a row and may change it; `owner_user_id` is who they are among those whose
-- flows are recorded, so that what they made is erased with them.

CREATE TABLE IF NOT EXISTS {{schema}}.share_links (
    link_id       text        PRIMARY KEY,
    -- The token itself is told once and kept nowhere.
    token_hash    bytea       NOT NULL UNIQUE,
    flow_id       text        NOT NULL,
    user_id       text,
    contents      boolean     NOT NULL DEFAULT false,
    created_at    timestamptz NOT NULL DEFAULT now(),
    expires_at    timestamptz NOT NULL,
    revoked_at    timestamptz,
    revoked_by    text,
    opened_at     timestamptz,
    opened        integer     NOT NULL DEFAULT 0,
    owner         text        NOT NULL,
    created_by    text        NOT NULL,
    owner_user_id text,
    -- What the operator signed in with and what it showed then: the link never shows more.
    owner_role    text        NOT NULL,
    owner_scope   text[],
    owner_origin  text
);
CREATE INDEX IF NOT EXISTS share_links_flow ON {{schema}}.share_links (flow_id);
CREATE INDEX IF NOT EXISTS share_links_at ON {{schema}}.share_links (created_at DESC, link_id DESC);
CREATE INDEX IF NOT EXISTS share_links_owner ON {{schema}}.share_links (owner, created_at DESC, link_id DESC);
CREATE INDEX IF NOT EXISTS share_links_expired ON {{schema}}.share_links (expires_at);

CREATE TABLE IF NOT EXISTS {{schema}}.flow_notes (
    note_id       text        PRIMARY KEY,
    flow_id       text        NOT NULL,
    user_id       text,
    -- A flow has the verdict of the newest note that has one.
    verdict       text        CHECK (verdict IN ('good', 'bad', 'needs_look')),
    note          text,
    created_at    timestamptz NOT NULL DEFAULT now(),
    changed_at    timestamptz,
    owner         text        NOT NULL,
    created_by    text        NOT NULL,
    owner_user_id text,
    CHECK (verdict IS NOT NULL OR note IS NOT NULL)
);
CREATE INDEX IF NOT EXISTS flow_notes_flow ON {{schema}}.flow_notes (flow_id, created_at DESC, note_id DESC);
CREATE INDEX IF NOT EXISTS flow_notes_verdict
    ON {{schema}}.flow_notes (verdict, flow_id, created_at, note_id) WHERE verdict IS NOT NULL;
CREATE INDEX IF NOT EXISTS flow_notes_at ON {{schema}}.flow_notes (created_at);

CREATE TABLE IF NOT EXISTS {{schema}}.saved_filters (
    filter_id     text        PRIMARY KEY,
    name          text        NOT NULL,
    -- By parameter, its values.
    filter        jsonb       NOT NULL,
    -- The users whom it names.
    user_ids      text[]      NOT NULL DEFAULT '{}',
    shared        boolean     NOT NULL DEFAULT false,
    created_at    timestamptz NOT NULL DEFAULT now(),
    changed_at    timestamptz NOT NULL DEFAULT now(),
    owner         text        NOT NULL,
    created_by    text        NOT NULL,
    owner_user_id text,
    UNIQUE (owner, name)
);

COMMENT ON TABLE {{schema}}.share_links IS 'Links that show one flow without a sign-in';
COMMENT ON TABLE {{schema}}.flow_notes IS 'What operators say of flows';
COMMENT ON TABLE {{schema}}.saved_filters IS 'Searches of flows under names';

-- A flow that was erased gets no new link and no new note.
CREATE OR REPLACE FUNCTION {{schema}}.refuse_erased_annotation()
RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $body$
BEGIN
    PERFORM pg_advisory_xact_lock_shared(hashtextextended('spanflow erasures {{schema_name}}', 0));
    IF EXISTS (SELECT FROM {{schema}}.erased_flows WHERE flow_id = NEW.flow_id) THEN
        RETURN NULL;
    END IF;
    RETURN NEW;
END
$body$;

CREATE OR REPLACE TRIGGER erased_flow_stays_away
    BEFORE INSERT ON {{schema}}.share_links
    FOR EACH ROW EXECUTE FUNCTION {{schema}}.refuse_erased_annotation();
CREATE OR REPLACE TRIGGER erased_flow_stays_away
    BEFORE INSERT ON {{schema}}.flow_notes
    FOR EACH ROW EXECUTE FUNCTION {{schema}}.refuse_erased_annotation();

-- A step of an erasure, after the flows: what is about the person, and what they made themselves as an operator.
CREATE OR REPLACE FUNCTION {{schema}}.erase_annotations(who text)
RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $body$
DECLARE
    until   timestamptz;
    removed bigint;
    total   bigint;
BEGIN
    SELECT erased_until INTO until FROM {{schema}}.erasures WHERE user_id = who AND finished_at IS NULL;
    IF until IS NULL THEN
        RAISE EXCEPTION 'no erasure of this user has begun';
    END IF;
    DELETE FROM {{schema}}.share_links AS link
    WHERE (created_at <= until AND who IN (user_id, owner_user_id))
       OR EXISTS (SELECT FROM {{schema}}.erased_flows AS erased WHERE erased.flow_id = link.flow_id);
    GET DIAGNOSTICS total = ROW_COUNT;
    PERFORM {{schema}}.count_erased(who, 'share_links', total);
    DELETE FROM {{schema}}.flow_notes AS note
    WHERE (created_at <= until AND who IN (user_id, owner_user_id))
       OR EXISTS (SELECT FROM {{schema}}.erased_flows AS erased WHERE erased.flow_id = note.flow_id);
    GET DIAGNOSTICS removed = ROW_COUNT;
    PERFORM {{schema}}.count_erased(who, 'notes', removed);
    total := total + removed;
    -- A search for nobody else goes; others go on without the person.
    DELETE FROM {{schema}}.saved_filters WHERE user_ids = ARRAY[who] OR (created_at <= until AND owner_user_id = who);
    GET DIAGNOSTICS removed = ROW_COUNT;
    UPDATE {{schema}}.saved_filters
    SET user_ids = array_remove(user_ids, who),
        filter   = jsonb_set(filter, '{user_id}', to_jsonb(array_remove(user_ids, who)))
    WHERE who = ANY (user_ids);
    PERFORM {{schema}}.count_erased(who, 'saved_filters', removed);
    RETURN total + removed;
END
$body$;

-- Notes and links go with their flow, and links a month after they have ended. A flow that still runs is stored later.
CREATE OR REPLACE FUNCTION {{schema}}.expire_annotations(batch integer DEFAULT 10000)
RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $body$
DECLARE
    removed bigint;
    total   bigint;
BEGIN
    DELETE FROM {{schema}}.share_links WHERE link_id IN (
        SELECT link_id FROM {{schema}}.share_links AS link
        WHERE expires_at < now() - interval '30 days'
           OR (created_at < now() - interval '7 days'
               AND NOT EXISTS (SELECT FROM {{schema}}.flow_keys AS known WHERE known.flow_id = link.flow_id))
        LIMIT greatest(batch, 1) FOR UPDATE SKIP LOCKED
    );
    GET DIAGNOSTICS total = ROW_COUNT;
    DELETE FROM {{schema}}.flow_notes WHERE note_id IN (
        SELECT note_id FROM {{schema}}.flow_notes AS note
        WHERE created_at < now() - interval '7 days'
          AND NOT EXISTS (SELECT FROM {{schema}}.flow_keys AS known WHERE known.flow_id = note.flow_id)
        LIMIT greatest(batch, 1) FOR UPDATE SKIP LOCKED
    );
    GET DIAGNOSTICS removed = ROW_COUNT;
    RETURN total + removed;
END
$body$;

COMMENT ON FUNCTION {{schema}}.expire_annotations(integer) IS
    'Delete links that ended a month ago, and links and notes of flows that have gone, so many at once';

REVOKE ALL ON FUNCTION
    {{schema}}.refuse_erased_annotation(), {{schema}}.erase_annotations(text), {{schema}}.expire_annotations(integer)
FROM PUBLIC;

-- Roles that had their rights before.
DO $rights$
DECLARE
    given record;
BEGIN
    FOR given IN
        SELECT DISTINCT role.rolname AS name
        FROM pg_class, aclexplode(relacl) AS right_ JOIN pg_roles AS role ON role.oid = right_.grantee
        WHERE pg_class.oid = '{{schema}}.step_statistics'::regclass AND right_.privilege_type = 'SELECT'
          AND right_.grantee <> relowner
    LOOP
        EXECUTE format('GRANT SELECT ON {{schema}}.flow_notes TO %I', given.name);
    END LOOP;
    FOR given IN
        SELECT DISTINCT role.rolname AS name, proname AS function
        FROM pg_proc, aclexplode(proacl) AS right_ JOIN pg_roles AS role ON role.oid = right_.grantee
        WHERE pg_proc.oid IN ('{{schema}}.expire_spent_tokens()'::regprocedure,
                              '{{schema}}.expire_flow_keys(integer)'::regprocedure,
                              '{{schema}}.begin_erasure(text)'::regprocedure)
          AND right_.grantee <> proowner
    LOOP
        IF given.function = 'begin_erasure' THEN
            EXECUTE format('GRANT EXECUTE ON FUNCTION {{schema}}.erase_annotations(text) TO %I', given.name);
        ELSE
            EXECUTE format('GRANT EXECUTE ON FUNCTION {{schema}}.expire_annotations(integer) TO %I', given.name);
        END IF;
        IF given.function = 'expire_spent_tokens' THEN
            EXECUTE format('GRANT SELECT, INSERT, UPDATE (revoked_at, revoked_by, opened_at, opened) '
                           'ON {{schema}}.share_links TO %I', given.name);
            EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON {{schema}}.flow_notes, {{schema}}.saved_filters '
                           'TO %I', given.name);
        END IF;
    END LOOP;
END
$rights$;
