BEGIN TRANSACTION;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0005');
CREATE TABLE alert (
	id VARCHAR(64) NOT NULL, 
	rule TEXT NOT NULL, 
	level VARCHAR(16) NOT NULL, 
	level_rank SMALLINT NOT NULL, 
	resource_id VARCHAR(64) NOT NULL, 
	app TEXT NOT NULL, 
	resource TEXT NOT NULL, 
	"key" TEXT NOT NULL, 
	raised BOOLEAN NOT NULL, 
	episode INTEGER NOT NULL, 
	count BIGINT NOT NULL, 
	first_ns BIGINT NOT NULL, 
	last_ns BIGINT NOT NULL, 
	opened_ns BIGINT NOT NULL, 
	cleared_ns BIGINT, 
	evidence TEXT NOT NULL, 
	acknowledged_episode INTEGER DEFAULT '0' NOT NULL, 
	closed_episode INTEGER DEFAULT '0' NOT NULL, 
	muted_until_ns BIGINT DEFAULT '0' NOT NULL, 
	CONSTRAINT pk_alert PRIMARY KEY (id)
);
INSERT INTO "alert" VALUES('c96757e60bbe26f23066d41dc098a2af2189ba9bc66121a7b879900848970e5f','unusual-query','high',3,'454349e422f05297191ead13e21d3db520e5abef52055e4964b82fb213f593a1','shop','postgresql db:5432/shop','k',0,1,1,1000,1000,1000,2000,'{"n": 0}',1,0,0);
INSERT INTO "alert" VALUES('c43106136d34a6071c876b5ee87441c937c70046d4ff1e011939a086363ced0b','unusual-query','high',3,'454349e422f05297191ead13e21d3db520e5abef52055e4964b82fb213f593a1','shop','postgresql db:5432/shop','other',1,1,1,1000,1000,1000,NULL,'{"n": 0}',0,0,0);
CREATE TABLE counter (
	shard INTEGER NOT NULL, 
	kind VARCHAR(8) NOT NULL, 
	name VARCHAR(200) NOT NULL, 
	value BIGINT NOT NULL, 
	CONSTRAINT pk_counter PRIMARY KEY (shard, kind, name)
);
INSERT INTO "counter" VALUES(0,'loss','gap',3);
CREATE TABLE decision (
	entry_id BIGINT NOT NULL, 
	alert_id VARCHAR(64) NOT NULL, 
	episode INTEGER NOT NULL, 
	kind VARCHAR(16) NOT NULL, 
	"by" TEXT NOT NULL, 
	why TEXT NOT NULL, 
	until_ns BIGINT NOT NULL, 
	at_ns BIGINT NOT NULL, 
	CONSTRAINT pk_decision PRIMARY KEY (entry_id), 
	CONSTRAINT fk_decision_entry_id FOREIGN KEY(entry_id) REFERENCES entry (id)
);
INSERT INTO "decision" VALUES(1,'c96757e60bbe26f23066d41dc098a2af2189ba9bc66121a7b879900848970e5f',1,'acknowledge','a tester','',0,9000);
CREATE TABLE delivery (
	event_id VARCHAR(32) NOT NULL, 
	endpoint VARCHAR(200) NOT NULL, 
	state VARCHAR(12) NOT NULL, 
	body BLOB NOT NULL, 
	attempts INTEGER NOT NULL, 
	created_ns BIGINT NOT NULL, 
	first_try_ns BIGINT, 
	next_ns BIGINT NOT NULL, 
	locked_until_ns BIGINT NOT NULL, 
	done_ns BIGINT, 
	outcome TEXT NOT NULL, 
	CONSTRAINT pk_delivery PRIMARY KEY (event_id, endpoint), 
	CONSTRAINT fk_delivery_event_id FOREIGN KEY(event_id) REFERENCES event (id) ON DELETE CASCADE, 
	CONSTRAINT fk_delivery_endpoint FOREIGN KEY(endpoint) REFERENCES endpoint (name)
);
CREATE TABLE endpoint (
	name VARCHAR(200) NOT NULL, 
	since_ns BIGINT NOT NULL, 
	paused_until_ns BIGINT NOT NULL, 
	disabled_ns BIGINT, 
	reason TEXT NOT NULL, served_ns BIGINT DEFAULT '0' NOT NULL, 
	CONSTRAINT pk_endpoint PRIMARY KEY (name)
);
CREATE TABLE entry (
	id BIGINT NOT NULL, 
	kind VARCHAR(16) NOT NULL, 
	body TEXT NOT NULL, 
	at_ns BIGINT NOT NULL, 
	"by" TEXT NOT NULL, 
	CONSTRAINT pk_entry PRIMARY KEY (id)
);
INSERT INTO "entry" VALUES(1,'decision','{"alert_id": "c96757e60bbe26f23066d41dc098a2af2189ba9bc66121a7b879900848970e5f", "kind": "acknowledge", "until_ns": 0}',9000,'a tester');
CREATE TABLE entry_number (
	id INTEGER NOT NULL, 
	last BIGINT NOT NULL, 
	CONSTRAINT pk_entry_number PRIMARY KEY (id)
);
INSERT INTO "entry_number" VALUES(1,1);
CREATE TABLE episode (
	alert_id VARCHAR(64) NOT NULL, 
	number INTEGER NOT NULL, 
	opened_ns BIGINT NOT NULL, 
	cleared_ns BIGINT, 
	CONSTRAINT pk_episode PRIMARY KEY (alert_id, number), 
	CONSTRAINT fk_episode_alert_id FOREIGN KEY(alert_id) REFERENCES alert (id) ON DELETE CASCADE
);
INSERT INTO "episode" VALUES('c96757e60bbe26f23066d41dc098a2af2189ba9bc66121a7b879900848970e5f',1,1000,2000);
INSERT INTO "episode" VALUES('c43106136d34a6071c876b5ee87441c937c70046d4ff1e011939a086363ced0b',1,1000,NULL);
CREATE TABLE event (
	id VARCHAR(32) NOT NULL, 
	alert_id VARCHAR(64) NOT NULL, 
	episode INTEGER NOT NULL, 
	kind VARCHAR(32) NOT NULL, 
	level_rank SMALLINT NOT NULL, 
	body TEXT NOT NULL, 
	created_ns BIGINT NOT NULL, 
	routed_ns BIGINT, 
	CONSTRAINT pk_event PRIMARY KEY (id)
);
INSERT INTO "event" VALUES('dc66c190c2fcd15a36cfb28c65638261','c96757e60bbe26f23066d41dc098a2af2189ba9bc66121a7b879900848970e5f',1,'alert.opened',3,'{"data":{"app":"shop","count":1,"episode":1,"evidence":{"n":0},"first_seen":"1970-01-01T00:00:00.000Z","id":"c96757e60bbe26f23066d41dc098a2af2189ba9bc66121a7b879900848970e5f","key":"k","last_seen":"1970-01-01T00:00:00.000Z","level":"high","remediation":"","resource":"postgresql db:5432/shop","resource_id":"454349e422f05297191ead13e21d3db520e5abef52055e4964b82fb213f593a1","rule":"unusual-query","tags":[],"title":"unusual-query"},"timestamp":"1970-01-01T00:00:00.000Z","type":"alert.opened"}',5000,NULL);
INSERT INTO "event" VALUES('08a6ec539b4f1523f093887d4c0dfc34','c96757e60bbe26f23066d41dc098a2af2189ba9bc66121a7b879900848970e5f',1,'alert.cleared',3,'{"data":{"app":"shop","count":1,"episode":1,"evidence":{"n":0},"first_seen":"1970-01-01T00:00:00.000Z","id":"c96757e60bbe26f23066d41dc098a2af2189ba9bc66121a7b879900848970e5f","key":"k","last_seen":"1970-01-01T00:00:00.000Z","level":"high","remediation":"","resource":"postgresql db:5432/shop","resource_id":"454349e422f05297191ead13e21d3db520e5abef52055e4964b82fb213f593a1","rule":"unusual-query","tags":[],"title":"unusual-query"},"timestamp":"1970-01-01T00:00:00.000Z","type":"alert.cleared"}',5000,NULL);
INSERT INTO "event" VALUES('5fed8f3bf436ee373b378d08547204db','c43106136d34a6071c876b5ee87441c937c70046d4ff1e011939a086363ced0b',1,'alert.opened',3,'{"data":{"app":"shop","count":1,"episode":1,"evidence":{"n":0},"first_seen":"1970-01-01T00:00:00.000Z","id":"c43106136d34a6071c876b5ee87441c937c70046d4ff1e011939a086363ced0b","key":"other","last_seen":"1970-01-01T00:00:00.000Z","level":"high","remediation":"","resource":"postgresql db:5432/shop","resource_id":"454349e422f05297191ead13e21d3db520e5abef52055e4964b82fb213f593a1","rule":"unusual-query","tags":[],"title":"unusual-query"},"timestamp":"1970-01-01T00:00:00.000Z","type":"alert.opened"}',5000,NULL);
CREATE TABLE meta (
	name TEXT NOT NULL, 
	value BLOB NOT NULL, 
	CONSTRAINT pk_meta PRIMARY KEY (name)
);
INSERT INTO "meta" VALUES('installation_key',X'F30E8358E9B49C42AB2E6FF0073F498B');
CREATE TABLE model (
	sha256 VARCHAR(64) NOT NULL, 
	blob BLOB NOT NULL, 
	created_ns BIGINT NOT NULL, 
	CONSTRAINT pk_model PRIMARY KEY (sha256)
);
CREATE TABLE occurrence (
	alert_id VARCHAR(64) NOT NULL, 
	number BIGINT NOT NULL, 
	episode INTEGER NOT NULL, 
	time_ns BIGINT NOT NULL, 
	trace_id VARCHAR(32) NOT NULL, 
	span_id VARCHAR(16) NOT NULL, 
	evidence TEXT NOT NULL, 
	CONSTRAINT pk_occurrence PRIMARY KEY (alert_id, number), 
	CONSTRAINT fk_occurrence_alert_id FOREIGN KEY(alert_id) REFERENCES alert (id) ON DELETE CASCADE
);
INSERT INTO "occurrence" VALUES('c96757e60bbe26f23066d41dc098a2af2189ba9bc66121a7b879900848970e5f',1,1,1000,'00000000000000000000000000000000','0000000000000000','{"n": 0}');
INSERT INTO "occurrence" VALUES('c43106136d34a6071c876b5ee87441c937c70046d4ff1e011939a086363ced0b',1,1,1000,'00000000000000000000000000000000','0000000000000000','{"n": 0}');
CREATE TABLE partition_progress (
	consumer_group VARCHAR(200) NOT NULL, 
	topic VARCHAR(249) NOT NULL, 
	partition_id INTEGER NOT NULL, 
	next_offset BIGINT NOT NULL, 
	end_offset BIGINT NOT NULL, 
	advanced_ns BIGINT NOT NULL, 
	updated_ns BIGINT NOT NULL, 
	member TEXT NOT NULL, 
	reason TEXT NOT NULL, 
	CONSTRAINT pk_partition_progress PRIMARY KEY (consumer_group, topic, partition_id)
);
CREATE TABLE quarantine (
	topic VARCHAR(249) NOT NULL, 
	partition_id INTEGER NOT NULL, 
	record_offset BIGINT NOT NULL, 
	reason TEXT NOT NULL, 
	value BLOB NOT NULL, 
	appended_ns BIGINT NOT NULL, 
	kept_ns BIGINT NOT NULL, 
	CONSTRAINT pk_quarantine PRIMARY KEY (topic, partition_id, record_offset)
);
CREATE TABLE resource (
	id VARCHAR(64) NOT NULL, 
	app TEXT NOT NULL, 
	system TEXT NOT NULL, 
	endpoint TEXT NOT NULL, 
	namespace TEXT NOT NULL, 
	first_ns BIGINT NOT NULL, 
	last_ns BIGINT NOT NULL, 
	calls BIGINT NOT NULL, 
	errors BIGINT NOT NULL, 
	facts TEXT NOT NULL, 
	CONSTRAINT pk_resource PRIMARY KEY (id)
);
CREATE TABLE rollup (
	resource_id VARCHAR(64) NOT NULL, 
	end_ns BIGINT NOT NULL, 
	calls BIGINT NOT NULL, 
	errors BIGINT NOT NULL, 
	suspects BIGINT NOT NULL, 
	bytes_sent BIGINT NOT NULL, 
	bytes_received BIGINT NOT NULL, 
	rows_returned BIGINT NOT NULL, 
	rows_affected BIGINT NOT NULL, 
	duration_ns BIGINT NOT NULL, 
	new_statements BIGINT NOT NULL, 
	CONSTRAINT pk_rollup PRIMARY KEY (resource_id, end_ns)
);
CREATE TABLE rule (
	name VARCHAR(200) NOT NULL, 
	title TEXT NOT NULL, 
	level VARCHAR(16) NOT NULL, 
	tags TEXT NOT NULL, 
	description TEXT NOT NULL, 
	blind_spots TEXT NOT NULL, 
	remediation TEXT NOT NULL, 
	falsepositives TEXT NOT NULL, 
	"references" TEXT NOT NULL, page TEXT DEFAULT '{}' NOT NULL, 
	CONSTRAINT pk_rule PRIMARY KEY (name)
);
CREATE TABLE shard (
	id INTEGER NOT NULL, 
	seq BIGINT NOT NULL, 
	next_offset BIGINT NOT NULL, 
	watermark_ns BIGINT NOT NULL, 
	entry_id BIGINT NOT NULL, 
	updated_ns BIGINT NOT NULL, 
	CONSTRAINT pk_shard PRIMARY KEY (id)
);
INSERT INTO "shard" VALUES(0,2,2,1,0,5000);
CREATE TABLE shard_delta (
	shard INTEGER NOT NULL, 
	seq BIGINT NOT NULL, 
	blob BLOB NOT NULL, 
	CONSTRAINT pk_shard_delta PRIMARY KEY (shard, seq), 
	CONSTRAINT fk_shard_delta_shard FOREIGN KEY(shard) REFERENCES shard (id)
);
CREATE TABLE shard_snapshot (
	shard INTEGER NOT NULL, 
	seq BIGINT NOT NULL, 
	blob BLOB NOT NULL, 
	CONSTRAINT pk_shard_snapshot PRIMARY KEY (shard), 
	CONSTRAINT fk_shard_snapshot_shard FOREIGN KEY(shard) REFERENCES shard (id)
);
INSERT INTO "shard_snapshot" VALUES(0,2,X'736E617073686F74');
CREATE INDEX ix_alert_last_ns_id ON alert (last_ns, id);
CREATE INDEX ix_alert_raised ON alert (raised);
CREATE INDEX ix_alert_resource_id ON alert (resource_id);
CREATE INDEX ix_event_routed_ns_created_ns ON event (routed_ns, created_ns);
CREATE INDEX ix_event_alert_id ON event (alert_id);
CREATE INDEX ix_rollup_end_ns ON rollup (end_ns);
CREATE INDEX ix_occurrence_time_ns ON occurrence (time_ns);
CREATE INDEX ix_decision_alert_id ON decision (alert_id);
CREATE INDEX ix_delivery_endpoint_state_next_ns ON delivery (endpoint, state, next_ns);
CREATE INDEX ix_alert_level_state ON alert (level, raised, episode, closed_episode, acknowledged_episode, muted_until_ns);
CREATE INDEX ix_alert_rule_state ON alert (rule, raised, episode, closed_episode, acknowledged_episode, muted_until_ns);
CREATE INDEX ix_alert_id_level ON alert (id, level);
CREATE INDEX ix_alert_app ON alert (app);
CREATE INDEX ix_episode_opened_ns_alert_id ON episode (opened_ns, alert_id);
COMMIT;
