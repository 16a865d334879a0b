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
INSERT INTO "alarms" VALUES('F22','prod/apiserver/api-1','warning','firing','2026-11-29T22:50:09Z','{"finding":{"rule":"F22","subject":"prod/apiserver/api-1","level":"warning","since":1795992579161,"hold":{"secs":30,"nanos":0},"path_unproven":true,"evidence":{"partial":{"symptom":{"silent":{"phase":"dial","cause":"refused"}},"ready":0,"of":2,"extent":"whole"}}},"stage":{"stage":"firing","since":1795992609162},"incident":"ff1dce80cd49eaf0"}');
INSERT INTO "alarms" VALUES('F22','prod/apiserver/api-2','warning','firing','2026-11-29T22:50:09Z','{"finding":{"rule":"F22","subject":"prod/apiserver/api-2","level":"warning","since":1795992579161,"hold":{"secs":30,"nanos":0},"path_unproven":true,"evidence":{"partial":{"symptom":{"silent":{"phase":"dial","cause":"refused"}},"ready":0,"of":2,"extent":"whole"}}},"stage":{"stage":"firing","since":1795992609162},"incident":"ff1dce80cd49eaf0"}');
INSERT INTO "alarms" VALUES('F24','prod','critical','firing','2026-11-29T22:50:09Z','{"finding":{"rule":"F24","subject":"prod","level":"critical","since":1795992579161,"hold":{"secs":0,"nanos":0},"path_unproven":true,"evidence":{"all_bad":{"parts":[["prod/apiserver/api-1",{"silent":{"phase":"dial","cause":"refused"}}],["prod/apiserver/api-2",{"silent":{"phase":"dial","cause":"refused"}}]]}}},"stage":{"stage":"firing","since":1795992609162},"incident":"ff1dce80cd49eaf0"}');
INSERT INTO "alarms" VALUES('F53','prod','info','firing','2026-11-29T22:49:39Z','{"finding":{"rule":"F53","subject":"prod","level":"info","since":1795992579042,"hold":{"secs":0,"nanos":0},"path_unproven":false,"evidence":{"coverage":{"gaps":["no_reference","no_etcd","no_shared_address"]}}},"stage":{"stage":"firing","since":1795992579042},"incident":null}');
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
INSERT INTO "incidents" VALUES('ff1dce80cd49eaf0','prod','F24','prod','critical','2026-11-29T22:49:39Z',NULL,1795992579161,NULL,'{"id":"ff1dce80cd49eaf0","cluster":"prod","opened":1795992579161,"headline":{"rule":"F24","subject":"prod","level":"critical","since":1795992579161,"hold":{"secs":0,"nanos":0},"path_unproven":true,"evidence":{"all_bad":{"parts":[["prod/apiserver/api-1",{"silent":{"phase":"dial","cause":"refused"}}],["prod/apiserver/api-2",{"silent":{"phase":"dial","cause":"refused"}}]]}}},"cause":null,"parts":[{"finding":{"rule":"F24","subject":"prod","level":"critical","since":1795992579161,"hold":{"secs":0,"nanos":0},"path_unproven":true,"evidence":{"all_bad":{"parts":[["prod/apiserver/api-1",{"silent":{"phase":"dial","cause":"refused"}}],["prod/apiserver/api-2",{"silent":{"phase":"dial","cause":"refused"}}]]}}},"over":null},{"finding":{"rule":"F22","subject":"prod/apiserver/api-1","level":"warning","since":1795992579161,"hold":{"secs":30,"nanos":0},"path_unproven":true,"evidence":{"partial":{"symptom":{"silent":{"phase":"dial","cause":"refused"}},"ready":0,"of":2,"extent":"whole"}}},"over":null},{"finding":{"rule":"F22","subject":"prod/apiserver/api-2","level":"warning","since":1795992579161,"hold":{"secs":30,"nanos":0},"path_unproven":true,"evidence":{"partial":{"symptom":{"silent":{"phase":"dial","cause":"refused"}},"ready":0,"of":2,"extent":"whole"}}},"over":null}],"level":"critical","told":{"messages":1,"last":1795992609666,"level":"critical","band":null},"silenced":null,"over":null}');
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
INSERT INTO "outbox" VALUES(1,'ff1dce80cd49eaf0.0','ff1dce80cd49eaf0','first','critical','2026-11-29T22:50:09Z',2,'connecting to the relay at 127.0.0.1:9: Connection refused (os error 111)',1795992609666,'{"message":{"id":"ff1dce80cd49eaf0.0","thread":"ff1dce80cd49eaf0.0","reason":"first","level":"critical","composed":1795992609666,"incident":{"id":"ff1dce80cd49eaf0","cluster":"prod","opened":1795992579161,"headline":{"rule":"F24","subject":"prod","level":"critical","since":1795992579161,"hold":{"secs":0,"nanos":0},"path_unproven":true,"evidence":{"all_bad":{"parts":[["prod/apiserver/api-1",{"silent":{"phase":"dial","cause":"refused"}}],["prod/apiserver/api-2",{"silent":{"phase":"dial","cause":"refused"}}]]}}},"cause":null,"parts":[{"finding":{"rule":"F24","subject":"prod","level":"critical","since":1795992579161,"hold":{"secs":0,"nanos":0},"path_unproven":true,"evidence":{"all_bad":{"parts":[["prod/apiserver/api-1",{"silent":{"phase":"dial","cause":"refused"}}],["prod/apiserver/api-2",{"silent":{"phase":"dial","cause":"refused"}}]]}}},"over":null},{"finding":{"rule":"F22","subject":"prod/apiserver/api-1","level":"warning","since":1795992579161,"hold":{"secs":30,"nanos":0},"path_unproven":true,"evidence":{"partial":{"symptom":{"silent":{"phase":"dial","cause":"refused"}},"ready":0,"of":2,"extent":"whole"}}},"over":null},{"finding":{"rule":"F22","subject":"prod/apiserver/api-2","level":"warning","since":1795992579161,"hold":{"secs":30,"nanos":0},"path_unproven":true,"evidence":{"partial":{"symptom":{"silent":{"phase":"dial","cause":"refused"}},"ready":0,"of":2,"extent":"whole"}}},"over":null}],"level":"critical","told":{"messages":1,"last":1795992609666,"level":"critical","band":null},"silenced":null,"over":null},"addresses":{"prod/apiserver/api-1":"127.0.0.1:1","prod/apiserver/api-2":"127.0.0.1:2"},"looks":[{"probe":{"subject":"prod/apiserver/api-1","kind":"readyz","connection":"new"},"address":"127.0.0.1:1","at":1795992608214,"phases":{"resolve":null,"dial":{"secs":0,"nanos":510749},"tls":null,"first_byte":null,"body":null},"outcome":{"Err":{"phase":"dial","cause":"refused"}}},{"probe":{"subject":"prod/apiserver/api-1","kind":"version","connection":"reused"},"address":"127.0.0.1:1","at":1795992600684,"phases":{"resolve":null,"dial":{"secs":0,"nanos":266371},"tls":null,"first_byte":null,"body":null},"outcome":{"Err":{"phase":"dial","cause":"refused"}}},{"probe":{"subject":"prod/apiserver/api-2","kind":"readyz","connection":"new"},"address":"127.0.0.1:2","at":1795992609214,"phases":{"resolve":null,"dial":{"secs":0,"nanos":245490},"tls":null,"first_byte":null,"body":null},"outcome":{"Err":{"phase":"dial","cause":"refused"}}},{"probe":{"subject":"prod/apiserver/api-2","kind":"version","connection":"reused"},"address":"127.0.0.1:2","at":1795992609145,"phases":{"resolve":null,"dial":{"secs":0,"nanos":572713},"tls":null,"first_byte":null,"body":null},"outcome":{"Err":{"phase":"dial","cause":"refused"}}}],"vantage":"bastion-1","caveats":[]},"attempts":2,"last_failure":{"class":"connect","text":"connecting to the relay at 127.0.0.1:9: Connection refused (os error 111)"}}');
CREATE TABLE silences (
        cluster      TEXT NOT NULL PRIMARY KEY,
        since        TEXT NOT NULL,
        until        TEXT NOT NULL,
        reason       TEXT NOT NULL,
        by           TEXT NOT NULL,
        even_if_dead INTEGER NOT NULL,
        json         TEXT NOT NULL
    ) WITHOUT ROWID;
CREATE INDEX incidents_by_end ON incidents (ended_ms);
COMMIT;
