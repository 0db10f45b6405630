-- What a sign-in writes is beside what was written just before it, in all but two trees (docs/decisions/0048). A
-- client's families in the order of their ends, which is nearly that in which they begin; no index of what nobody asks.
DROP INDEX family_of_client;
CREATE INDEX family_of_client ON family (client_id, absolute_until);
DROP INDEX family_of_session; -- those of a session are looked for among those of its person
DROP INDEX event_about;
CREATE INDEX event_about ON event (about, seq) WHERE name <> 'family_created';
