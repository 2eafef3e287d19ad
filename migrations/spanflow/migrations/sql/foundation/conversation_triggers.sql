-- Made after adoption, which counts all conversations in one go.

CREATE OR REPLACE TRIGGER conversations_insert
    AFTER INSERT ON {{schema}}.user_activities
    REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION {{schema}}.conversations_after_insert();
CREATE OR REPLACE TRIGGER conversations_delete
    AFTER DELETE ON {{schema}}.user_activities
    REFERENCING OLD TABLE AS before
    FOR EACH STATEMENT EXECUTE FUNCTION {{schema}}.conversations_after_change();
CREATE OR REPLACE TRIGGER conversations_update
    AFTER UPDATE ON {{schema}}.user_activities
    REFERENCING OLD TABLE AS before NEW TABLE AS after
    FOR EACH STATEMENT EXECUTE FUNCTION {{schema}}.conversations_after_change();
