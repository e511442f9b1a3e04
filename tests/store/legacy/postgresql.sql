CREATE TABLE public.alembic_version (
    version_num character varying(32) NOT NULL
);
CREATE TABLE public.alert (
    id character varying(64) NOT NULL,
    rule text NOT NULL,
    level character varying(16) NOT NULL,
    level_rank smallint NOT NULL,
    resource_id character varying(64) NOT NULL,
    app text NOT NULL,
    resource text NOT NULL,
    key text NOT NULL,
    raised boolean NOT NULL,
    episode integer NOT NULL,
    count bigint NOT NULL,
    first_ns bigint NOT NULL,
    last_ns bigint NOT NULL,
    opened_ns bigint NOT NULL,
    cleared_ns bigint,
    evidence text NOT NULL,
    acknowledged_episode integer DEFAULT 0 NOT NULL,
    closed_episode integer DEFAULT 0 NOT NULL,
    muted_until_ns bigint DEFAULT '0'::bigint NOT NULL
);
CREATE TABLE public.counter (
    shard integer NOT NULL,
    kind character varying(8) NOT NULL,
    name character varying(200) NOT NULL,
    value bigint NOT NULL
);
CREATE TABLE public.decision (
    entry_id bigint NOT NULL,
    alert_id character varying(64) NOT NULL,
    episode integer NOT NULL,
    kind character varying(16) NOT NULL,
    by text NOT NULL,
    why text NOT NULL,
    until_ns bigint NOT NULL,
    at_ns bigint NOT NULL
);
CREATE TABLE public.delivery (
    event_id character varying(32) NOT NULL,
    endpoint character varying(200) NOT NULL,
    state character varying(12) NOT NULL,
    body bytea NOT NULL,
    attempts integer NOT NULL,
    created_ns bigint NOT NULL,
    first_try_ns bigint,
    next_ns bigint NOT NULL,
    locked_until_ns bigint NOT NULL,
    done_ns bigint,
    outcome text NOT NULL
);
CREATE TABLE public.endpoint (
    name character varying(200) NOT NULL,
    since_ns bigint NOT NULL,
    paused_until_ns bigint NOT NULL,
    disabled_ns bigint,
    reason text NOT NULL,
    served_ns bigint DEFAULT '0'::bigint NOT NULL
);
CREATE TABLE public.entry (
    id bigint NOT NULL,
    kind character varying(16) NOT NULL,
    body text NOT NULL,
    at_ns bigint NOT NULL,
    by text NOT NULL
);
CREATE TABLE public.entry_number (
    id integer NOT NULL,
    last bigint NOT NULL
);
CREATE TABLE public.episode (
    alert_id character varying(64) NOT NULL,
    number integer NOT NULL,
    opened_ns bigint NOT NULL,
    cleared_ns bigint
);
CREATE TABLE public.event (
    id character varying(32) NOT NULL,
    alert_id character varying(64) NOT NULL,
    episode integer NOT NULL,
    kind character varying(32) NOT NULL,
    level_rank smallint NOT NULL,
    body text NOT NULL,
    created_ns bigint NOT NULL,
    routed_ns bigint
);
CREATE TABLE public.meta (
    name text NOT NULL,
    value bytea NOT NULL
);
CREATE TABLE public.model (
    sha256 character varying(64) NOT NULL,
    blob bytea NOT NULL,
    created_ns bigint NOT NULL
);
ALTER TABLE ONLY public.model ALTER COLUMN blob SET STORAGE EXTERNAL;
CREATE TABLE public.occurrence (
    alert_id character varying(64) NOT NULL,
    number bigint NOT NULL,
    episode integer NOT NULL,
    time_ns bigint NOT NULL,
    trace_id character varying(32) NOT NULL,
    span_id character varying(16) NOT NULL,
    evidence text NOT NULL
);
CREATE TABLE public.partition_progress (
    consumer_group character varying(200) NOT NULL,
    topic character varying(249) NOT NULL,
    partition_id integer NOT NULL,
    next_offset bigint NOT NULL,
    end_offset bigint NOT NULL,
    advanced_ns bigint NOT NULL,
    updated_ns bigint NOT NULL,
    member text NOT NULL,
    reason text NOT NULL
);
CREATE TABLE public.quarantine (
    topic character varying(249) NOT NULL,
    partition_id integer NOT NULL,
    record_offset bigint NOT NULL,
    reason text NOT NULL,
    value bytea NOT NULL,
    appended_ns bigint NOT NULL,
    kept_ns bigint NOT NULL
);
CREATE TABLE public.resource (
    id character varying(64) NOT NULL,
    app text NOT NULL,
    system text NOT NULL,
    endpoint text NOT NULL,
    namespace text NOT NULL,
    first_ns bigint NOT NULL,
    last_ns bigint NOT NULL,
    calls bigint NOT NULL,
    errors bigint NOT NULL,
    facts text NOT NULL
);
CREATE TABLE public.rollup (
    resource_id character varying(64) NOT NULL,
    end_ns bigint NOT NULL,
    calls bigint NOT NULL,
    errors bigint NOT NULL,
    suspects bigint NOT NULL,
    bytes_sent bigint NOT NULL,
    bytes_received bigint NOT NULL,
    rows_returned bigint NOT NULL,
    rows_affected bigint NOT NULL,
    duration_ns bigint NOT NULL,
    new_statements bigint NOT NULL
);
CREATE TABLE public.rule (
    name character varying(200) NOT NULL,
    title text NOT NULL,
    level character varying(16) NOT NULL,
    tags text NOT NULL,
    description text NOT NULL,
    blind_spots text NOT NULL,
    remediation text NOT NULL,
    falsepositives text NOT NULL,
    "references" text NOT NULL,
    page text DEFAULT '{}'::text NOT NULL
);
CREATE TABLE public.shard (
    id integer NOT NULL,
    seq bigint NOT NULL,
    next_offset bigint NOT NULL,
    watermark_ns bigint NOT NULL,
    entry_id bigint NOT NULL,
    updated_ns bigint NOT NULL
);
CREATE TABLE public.shard_delta (
    shard integer NOT NULL,
    seq bigint NOT NULL,
    blob bytea NOT NULL
);
ALTER TABLE ONLY public.shard_delta ALTER COLUMN blob SET STORAGE EXTERNAL;
CREATE TABLE public.shard_snapshot (
    shard integer NOT NULL,
    seq bigint NOT NULL,
    blob bytea NOT NULL
);
ALTER TABLE ONLY public.shard_snapshot ALTER COLUMN blob SET STORAGE EXTERNAL;
INSERT INTO public.alembic_version VALUES ('0005');
INSERT INTO public.alert VALUES ('c43106136d34a6071c876b5ee87441c937c70046d4ff1e011939a086363ced0b', 'unusual-query', 'high', 3, '454349e422f05297191ead13e21d3db520e5abef52055e4964b82fb213f593a1', 'shop', 'postgresql db:5432/shop', 'other', true, 1, 1, 1000, 1000, 1000, NULL, '{"n": 0}', 0, 0, 0);
INSERT INTO public.alert VALUES ('c96757e60bbe26f23066d41dc098a2af2189ba9bc66121a7b879900848970e5f', 'unusual-query', 'high', 3, '454349e422f05297191ead13e21d3db520e5abef52055e4964b82fb213f593a1', 'shop', 'postgresql db:5432/shop', 'k', false, 1, 1, 1000, 1000, 1000, 2000, '{"n": 0}', 1, 0, 0);
INSERT INTO public.counter VALUES (0, 'loss', 'gap', 3);
INSERT INTO public.decision VALUES (1, 'c96757e60bbe26f23066d41dc098a2af2189ba9bc66121a7b879900848970e5f', 1, 'acknowledge', 'a tester', '', 0, 9000);
INSERT INTO public.entry VALUES (1, 'decision', '{"alert_id": "c96757e60bbe26f23066d41dc098a2af2189ba9bc66121a7b879900848970e5f", "kind": "acknowledge", "until_ns": 0}', 9000, 'a tester');
INSERT INTO public.entry_number VALUES (1, 1);
INSERT INTO public.episode VALUES ('c43106136d34a6071c876b5ee87441c937c70046d4ff1e011939a086363ced0b', 1, 1000, NULL);
INSERT INTO public.episode VALUES ('c96757e60bbe26f23066d41dc098a2af2189ba9bc66121a7b879900848970e5f', 1, 1000, 2000);
INSERT INTO public.event VALUES ('dc66c190c2fcd15a36cfb28c65638261', 'c96757e60bbe26f23066d41dc098a2af2189ba9bc66121a7b879900848970e5f', 1, 'alert.opened', 3, '{"data":{"app":"shop","count":1,"episode":1,"evidence":{"n":0},"first_seen":"1970-01-01T00:00:00.000Z","id":"c96757e60bbe26f23066d41dc098a2af2189ba9bc66121a7b879900848970e5f","key":"k","last_seen":"1970-01-01T00:00:00.000Z","level":"high","remediation":"","resource":"postgresql db:5432/shop","resource_id":"454349e422f05297191ead13e21d3db520e5abef52055e4964b82fb213f593a1","rule":"unusual-query","tags":[],"title":"unusual-query"},"timestamp":"1970-01-01T00:00:00.000Z","type":"alert.opened"}', 5000, NULL);
INSERT INTO public.event VALUES ('08a6ec539b4f1523f093887d4c0dfc34', 'c96757e60bbe26f23066d41dc098a2af2189ba9bc66121a7b879900848970e5f', 1, 'alert.cleared', 3, '{"data":{"app":"shop","count":1,"episode":1,"evidence":{"n":0},"first_seen":"1970-01-01T00:00:00.000Z","id":"c96757e60bbe26f23066d41dc098a2af2189ba9bc66121a7b879900848970e5f","key":"k","last_seen":"1970-01-01T00:00:00.000Z","level":"high","remediation":"","resource":"postgresql db:5432/shop","resource_id":"454349e422f05297191ead13e21d3db520e5abef52055e4964b82fb213f593a1","rule":"unusual-query","tags":[],"title":"unusual-query"},"timestamp":"1970-01-01T00:00:00.000Z","type":"alert.cleared"}', 5000, NULL);
INSERT INTO public.event VALUES ('5fed8f3bf436ee373b378d08547204db', 'c43106136d34a6071c876b5ee87441c937c70046d4ff1e011939a086363ced0b', 1, 'alert.opened', 3, '{"data":{"app":"shop","count":1,"episode":1,"evidence":{"n":0},"first_seen":"1970-01-01T00:00:00.000Z","id":"c43106136d34a6071c876b5ee87441c937c70046d4ff1e011939a086363ced0b","key":"other","last_seen":"1970-01-01T00:00:00.000Z","level":"high","remediation":"","resource":"postgresql db:5432/shop","resource_id":"454349e422f05297191ead13e21d3db520e5abef52055e4964b82fb213f593a1","rule":"unusual-query","tags":[],"title":"unusual-query"},"timestamp":"1970-01-01T00:00:00.000Z","type":"alert.opened"}', 5000, NULL);
INSERT INTO public.meta VALUES ('installation_key', '\x1d2483473f5a74b5484a545a24b20cd0');
INSERT INTO public.occurrence VALUES ('c96757e60bbe26f23066d41dc098a2af2189ba9bc66121a7b879900848970e5f', 1, 1, 1000, '00000000000000000000000000000000', '0000000000000000', '{"n": 0}');
INSERT INTO public.occurrence VALUES ('c43106136d34a6071c876b5ee87441c937c70046d4ff1e011939a086363ced0b', 1, 1, 1000, '00000000000000000000000000000000', '0000000000000000', '{"n": 0}');
INSERT INTO public.shard VALUES (0, 2, 2, 1, 0, 5000);
INSERT INTO public.shard_snapshot VALUES (0, 2, '\x736e617073686f74');
ALTER TABLE ONLY public.alembic_version
    ADD CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num);
ALTER TABLE ONLY public.alert
    ADD CONSTRAINT pk_alert PRIMARY KEY (id);
ALTER TABLE ONLY public.counter
    ADD CONSTRAINT pk_counter PRIMARY KEY (shard, kind, name);
ALTER TABLE ONLY public.decision
    ADD CONSTRAINT pk_decision PRIMARY KEY (entry_id);
ALTER TABLE ONLY public.delivery
    ADD CONSTRAINT pk_delivery PRIMARY KEY (event_id, endpoint);
ALTER TABLE ONLY public.endpoint
    ADD CONSTRAINT pk_endpoint PRIMARY KEY (name);
ALTER TABLE ONLY public.entry
    ADD CONSTRAINT pk_entry PRIMARY KEY (id);
ALTER TABLE ONLY public.entry_number
    ADD CONSTRAINT pk_entry_number PRIMARY KEY (id);
ALTER TABLE ONLY public.episode
    ADD CONSTRAINT pk_episode PRIMARY KEY (alert_id, number);
ALTER TABLE ONLY public.event
    ADD CONSTRAINT pk_event PRIMARY KEY (id);
ALTER TABLE ONLY public.meta
    ADD CONSTRAINT pk_meta PRIMARY KEY (name);
ALTER TABLE ONLY public.model
    ADD CONSTRAINT pk_model PRIMARY KEY (sha256);
ALTER TABLE ONLY public.occurrence
    ADD CONSTRAINT pk_occurrence PRIMARY KEY (alert_id, number);
ALTER TABLE ONLY public.partition_progress
    ADD CONSTRAINT pk_partition_progress PRIMARY KEY (consumer_group, topic, partition_id);
ALTER TABLE ONLY public.quarantine
    ADD CONSTRAINT pk_quarantine PRIMARY KEY (topic, partition_id, record_offset);
ALTER TABLE ONLY public.resource
    ADD CONSTRAINT pk_resource PRIMARY KEY (id);
ALTER TABLE ONLY public.rollup
    ADD CONSTRAINT pk_rollup PRIMARY KEY (resource_id, end_ns);
ALTER TABLE ONLY public.rule
    ADD CONSTRAINT pk_rule PRIMARY KEY (name);
ALTER TABLE ONLY public.shard
    ADD CONSTRAINT pk_shard PRIMARY KEY (id);
ALTER TABLE ONLY public.shard_delta
    ADD CONSTRAINT pk_shard_delta PRIMARY KEY (shard, seq);
ALTER TABLE ONLY public.shard_snapshot
    ADD CONSTRAINT pk_shard_snapshot PRIMARY KEY (shard);
CREATE INDEX ix_alert_app ON public.alert USING btree (app);
CREATE INDEX ix_alert_id_level ON public.alert USING btree (id, level);
CREATE INDEX ix_alert_last_ns_id ON public.alert USING btree (last_ns, id);
CREATE INDEX ix_alert_level_state ON public.alert USING btree (level, raised, episode, closed_episode, acknowledged_episode, muted_until_ns);
CREATE INDEX ix_alert_raised ON public.alert USING btree (raised);
CREATE INDEX ix_alert_resource_id ON public.alert USING btree (resource_id);
CREATE INDEX ix_alert_rule_state ON public.alert USING btree (rule, raised, episode, closed_episode, acknowledged_episode, muted_until_ns);
CREATE INDEX ix_decision_alert_id ON public.decision USING btree (alert_id);
CREATE INDEX ix_delivery_endpoint_state_next_ns ON public.delivery USING btree (endpoint, state, next_ns);
CREATE INDEX ix_episode_opened_ns_alert_id ON public.episode USING btree (opened_ns, alert_id);
CREATE INDEX ix_event_alert_id ON public.event USING btree (alert_id);
CREATE INDEX ix_event_routed_ns_created_ns ON public.event USING btree (routed_ns, created_ns);
CREATE INDEX ix_occurrence_time_ns ON public.occurrence USING btree (time_ns);
CREATE INDEX ix_rollup_end_ns ON public.rollup USING btree (end_ns);
ALTER TABLE ONLY public.decision
    ADD CONSTRAINT fk_decision_entry_id FOREIGN KEY (entry_id) REFERENCES public.entry(id);
ALTER TABLE ONLY public.delivery
    ADD CONSTRAINT fk_delivery_endpoint FOREIGN KEY (endpoint) REFERENCES public.endpoint(name);
ALTER TABLE ONLY public.delivery
    ADD CONSTRAINT fk_delivery_event_id FOREIGN KEY (event_id) REFERENCES public.event(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.episode
    ADD CONSTRAINT fk_episode_alert_id FOREIGN KEY (alert_id) REFERENCES public.alert(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.occurrence
    ADD CONSTRAINT fk_occurrence_alert_id FOREIGN KEY (alert_id) REFERENCES public.alert(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.shard_delta
    ADD CONSTRAINT fk_shard_delta_shard FOREIGN KEY (shard) REFERENCES public.shard(id);
ALTER TABLE ONLY public.shard_snapshot
    ADD CONSTRAINT fk_shard_snapshot_shard FOREIGN KEY (shard) REFERENCES public.shard(id);
