DROP TABLE IF EXISTS {{schema}}.share_links, {{schema}}.flow_notes, {{schema}}.saved_filters;
DROP FUNCTION IF EXISTS
    {{schema}}.erase_annotations(text), {{schema}}.expire_annotations(integer), {{schema}}.refuse_erased_annotation();
