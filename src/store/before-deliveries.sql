BEGIN TRANSACTION;
CREATE TABLE alarms (
        rule    TEXT NOT NULL,
        subject TEXT NOT NULL,
        level   TEXT NOT NULL,
        stage   TEXT NOT NULL,
        since   TEXT NOT NULL,
        json    TEXT NOT NULL,
        PRIMARY KEY (rule, subject)
    ) WITHOUT ROWID;
INSERT INTO alarms VALUES('F22','prod/apiserver/api-1','warning','firing','2026-11-30T16:38:22Z','{"finding":{"rule":"F22","subject":"prod/apiserver/api-1","level":"warning","since":1796056672225,"hold":{"secs":30,"nanos":0},"path_unproven":false,"evidence":{"partial":{"symptom":{"silent":{"phase":"dial","cause":"refused"}},"ready":0,"of":2,"extent":"whole"}}},"stage":{"stage":"firing","since":1796056702277},"incident":"85e0abd42f6d6baf"}');
INSERT INTO alarms VALUES('F22','prod/apiserver/api-2','warning','firing','2026-11-30T16:38:22Z','{"finding":{"rule":"F22","subject":"prod/apiserver/api-2","level":"warning","since":1796056672225,"hold":{"secs":30,"nanos":0},"path_unproven":false,"evidence":{"partial":{"symptom":{"silent":{"phase":"dial","cause":"refused"}},"ready":0,"of":2,"extent":"whole"}}},"stage":{"stage":"firing","since":1796056702277},"incident":"85e0abd42f6d6baf"}');
INSERT INTO alarms VALUES('F24','prod','critical','firing','2026-11-30T16:37:53Z','{"finding":{"rule":"F24","subject":"prod","level":"critical","since":1796056672225,"hold":{"secs":0,"nanos":0},"path_unproven":false,"evidence":{"all_bad":{"parts":[["prod/apiserver/api-1",{"silent":{"phase":"dial","cause":"refused"}}],["prod/apiserver/api-2",{"silent":{"phase":"dial","cause":"refused"}}]]}}},"stage":{"stage":"firing","since":1796056673247},"incident":"85e0abd42f6d6baf"}');
INSERT INTO alarms VALUES('F51','vantage','info','firing','2026-11-30T16:37:52Z','{"finding":{"rule":"F51","subject":"vantage","level":"info","since":1796056672051,"hold":{"secs":0,"nanos":0},"path_unproven":false,"evidence":{"single_points":{"points":[{"resolver":"vantage/resolver/10.255.255.53:53"}]}}},"stage":{"stage":"firing","since":1796056672051},"incident":null}');
INSERT INTO alarms VALUES('F53','prod','info','firing','2026-11-30T16:37:52Z','{"finding":{"rule":"F53","subject":"prod","level":"info","since":1796056672051,"hold":{"secs":0,"nanos":0},"path_unproven":false,"evidence":{"coverage":{"gaps":["no_etcd","no_shared_address"]}}},"stage":{"stage":"firing","since":1796056672051},"incident":null}');
CREATE TABLE incidents (
        id        TEXT NOT NULL PRIMARY KEY,
        cluster   TEXT,
        rule      TEXT NOT NULL,
        subject   TEXT NOT NULL,
        level     TEXT NOT NULL,
        opened    TEXT NOT NULL,
        ended     TEXT,
        opened_ms INTEGER NOT NULL,
        ended_ms  INTEGER,
        json      TEXT NOT NULL
    ) WITHOUT ROWID;
INSERT INTO incidents VALUES('85e0abd42f6d6baf','prod','F24','prod','critical','2026-11-30T16:37:52Z',NULL,1796056672225,NULL,'{"id":"85e0abd42f6d6baf","cluster":"prod","opened":1796056672225,"headline":{"rule":"F24","subject":"prod","level":"critical","since":1796056672225,"hold":{"secs":0,"nanos":0},"path_unproven":false,"evidence":{"all_bad":{"parts":[["prod/apiserver/api-1",{"silent":{"phase":"dial","cause":"refused"}}],["prod/apiserver/api-2",{"silent":{"phase":"dial","cause":"refused"}}]]}}},"cause":null,"parts":[{"finding":{"rule":"F24","subject":"prod","level":"critical","since":1796056672225,"hold":{"secs":0,"nanos":0},"path_unproven":false,"evidence":{"all_bad":{"parts":[["prod/apiserver/api-1",{"silent":{"phase":"dial","cause":"refused"}}],["prod/apiserver/api-2",{"silent":{"phase":"dial","cause":"refused"}}]]}}},"over":null,"said":{"level":"critical","band":null},"follows":false},{"finding":{"rule":"F22","subject":"prod/apiserver/api-1","level":"warning","since":1796056672225,"hold":{"secs":30,"nanos":0},"path_unproven":false,"evidence":{"partial":{"symptom":{"silent":{"phase":"dial","cause":"refused"}},"ready":0,"of":2,"extent":"whole"}}},"over":null,"said":{"level":null,"band":null},"follows":true},{"finding":{"rule":"F22","subject":"prod/apiserver/api-2","level":"warning","since":1796056672225,"hold":{"secs":30,"nanos":0},"path_unproven":false,"evidence":{"partial":{"symptom":{"silent":{"phase":"dial","cause":"refused"}},"ready":0,"of":2,"extent":"whole"}}},"over":null,"said":{"level":null,"band":null},"follows":true}],"level":"critical","told":{"messages":1,"last":1796056673748,"level":"critical","band":null,"settled":0},"silenced":null,"over":null}');
CREATE TABLE outbox (
        number       INTEGER PRIMARY KEY,
        message      TEXT NOT NULL UNIQUE,
        incident     TEXT NOT NULL,
        reason       TEXT NOT NULL,
        level        TEXT NOT NULL,
        composed     TEXT NOT NULL,
        attempts     INTEGER NOT NULL,
        last_failure TEXT,
        composed_ms  INTEGER NOT NULL,
        json         TEXT NOT NULL
    );
INSERT INTO outbox VALUES(1,'85e0abd42f6d6baf.0','85e0abd42f6d6baf','first','critical','2026-11-30T16:37:53Z',6,'naming recipient night@example.org: 451 4.7.1 try again later',1796056673748,'{"message":{"id":"85e0abd42f6d6baf.0","thread":"85e0abd42f6d6baf.0","reason":"first","level":"critical","composed":1796056673748,"incident":{"id":"85e0abd42f6d6baf","cluster":"prod","opened":1796056672225,"headline":{"rule":"F24","subject":"prod","level":"critical","since":1796056672225,"hold":{"secs":0,"nanos":0},"path_unproven":false,"evidence":{"all_bad":{"parts":[["prod/apiserver/api-1",{"silent":{"phase":"dial","cause":"refused"}}],["prod/apiserver/api-2",{"silent":{"phase":"dial","cause":"refused"}}]]}}},"cause":null,"parts":[{"finding":{"rule":"F24","subject":"prod","level":"critical","since":1796056672225,"hold":{"secs":0,"nanos":0},"path_unproven":false,"evidence":{"all_bad":{"parts":[["prod/apiserver/api-1",{"silent":{"phase":"dial","cause":"refused"}}],["prod/apiserver/api-2",{"silent":{"phase":"dial","cause":"refused"}}]]}}},"over":null,"said":{"level":"critical","band":null},"follows":false}],"level":"critical","told":{"messages":1,"last":1796056673748,"level":"critical","band":null,"settled":0},"silenced":null,"over":null},"addresses":{"prod/apiserver/api-1":"127.0.0.1:10326","prod/apiserver/api-2":"127.0.0.1:10327"},"hosts":{"distribution":"kubeadm","basis":"assumed","ssh_user":null,"leaders":[],"named":{"configuration":"vedette.yaml","apiservers":{},"etcds":{},"server_names":{}}},"links":{},"probes":[{"probe":{"subject":"prod/apiserver/api-1","kind":"readyz","connection":"new"},"address":"127.0.0.1:10326","at":1796056673242,"phases":{"resolve":null,"dial":{"secs":0,"nanos":787153},"tls":null,"first_byte":null,"body":null},"outcome":{"Err":{"phase":"dial","cause":"refused"}},"good":false},{"probe":{"subject":"prod/apiserver/api-2","kind":"readyz","connection":"new"},"address":"127.0.0.1:10327","at":1796056673242,"phases":{"resolve":null,"dial":{"secs":0,"nanos":387950},"tls":null,"first_byte":null,"body":null},"outcome":{"Err":{"phase":"dial","cause":"refused"}},"good":false},{"probe":{"subject":"prod/apiserver/api-2","kind":"version","connection":"reused"},"address":"127.0.0.1:10327","at":1796056672222,"phases":{"resolve":null,"dial":{"secs":0,"nanos":467775},"tls":null,"first_byte":null,"body":null},"outcome":{"Err":{"phase":"dial","cause":"refused"}},"good":false}],"vantage":"bastion-1","caveats":[]},"attempts":6,"last_failure":{"class":"temporary","text":"naming recipient night@example.org: 451 4.7.1 try again later"},"served":["ops@example.org"],"refused":["boss@example.org"],"rejections":[{"recipient":"boss@example.org","text":"550 5.1.1 no such user"}]}');
CREATE TABLE silences (
        cluster      TEXT NOT NULL PRIMARY KEY,
        since        TEXT NOT NULL,
        until        TEXT NOT NULL,
        reason       TEXT NOT NULL,
        by           TEXT NOT NULL,
        even_if_dead INTEGER NOT NULL,
        json         TEXT NOT NULL
    ) WITHOUT ROWID;
CREATE TABLE refused (
        recipient TEXT NOT NULL PRIMARY KEY,
        since     TEXT NOT NULL,
        said      TEXT NOT NULL,
        is_told   INTEGER NOT NULL,
        json      TEXT NOT NULL
    ) WITHOUT ROWID;
INSERT INTO refused VALUES('boss@example.org','2026-11-30T16:37:53Z','550 5.1.1 no such user',0,'{"rejection":{"recipient":"boss@example.org","text":"550 5.1.1 no such user"},"since":1796056673759,"is_told":false}');
CREATE INDEX incidents_by_end ON incidents (ended_ms);
COMMIT;
