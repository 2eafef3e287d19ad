-- Where numbers of a conversation repeat, its title is the message that came first. Those that are stored are set right.

UPDATE {{schema}}.conversations AS known SET title = first.title
FROM (
    SELECT conversation_id,
           left((array_agg(activity_data ->> 'message' ORDER BY sequence_num, created_at))[1], 200) AS title
    FROM {{schema}}.user_activities
    WHERE activity_type = 'user_message' AND conversation_id IS NOT NULL
    GROUP BY conversation_id
    HAVING count(*) > count(DISTINCT sequence_num)
) AS first
WHERE known.conversation_id = first.conversation_id AND known.title IS DISTINCT FROM first.title;
