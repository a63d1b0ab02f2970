BEGIN TRANSACTION;
CREATE TABLE pairs (   -- requests that both models scored, by the first row of each
    one TEXT, two TEXT,
    scored INTEGER NOT NULL DEFAULT 0, disagreed INTEGER NOT NULL DEFAULT 0,
    differed INTEGER NOT NULL DEFAULT 0,   -- in any row: each could have a labelled disagreement
    PRIMARY KEY (one, two)
) WITHOUT ROWID;
INSERT INTO "pairs" VALUES('hash-1','hash-2',9,6,7);
INSERT INTO "pairs" VALUES('hash-1','hash-3',1,1,1);
CREATE TABLE predictions (
    request_id BLOB NOT NULL,
    row INTEGER NOT NULL,
    time REAL NOT NULL,              -- seconds since 1970
    revision TEXT NOT NULL,
    version TEXT NOT NULL,           -- the one that answered
    forced INTEGER NOT NULL,         -- 1: the client asked for this version
    user BLOB,                       -- salted hash
    latency REAL NOT NULL,           -- seconds
    features BLOB NOT NULL,          -- little-endian float64
    prediction INTEGER NOT NULL,     -- index into the revision's classes
    votes TEXT NOT NULL,             -- JSON: what each version said
    label INTEGER,
    PRIMARY KEY (request_id, row)
) WITHOUT ROWID;
INSERT INTO "predictions" VALUES(X'019AAAAC260070000000000000000001',0,1763800000.0,'r1','v1',0,X'9FB1E5975D11ED38BD176E9F38A8E5A1',3.0e-05,X'000000000000F03F0000000000000040',0,'{"v1": 0, "v2": 0}',0);
INSERT INTO "predictions" VALUES(X'019AAAAC260070000000000000000002',0,1763800000.0,'r1','v1',0,X'9FB1E5975D11ED38BD176E9F38A8E5A1',3.0e-05,X'000000000000F03F0000000000000040',0,'{"v1": 0, "v2": 1}',1);
INSERT INTO "predictions" VALUES(X'019AAAAC260070000000000000000003',0,1763800000.0,'r1','v1',0,X'9FB1E5975D11ED38BD176E9F38A8E5A1',3.0e-05,X'000000000000F03F0000000000000040',0,'{"v1": 0, "v2": 1}',1);
INSERT INTO "predictions" VALUES(X'019AAAAC260070000000000000000004',0,1763800000.0,'r1','v2',0,X'9BEDB50409B929F3C6D55974585C66B5',3.0e-05,X'000000000000F03F0000000000000040',1,'{"v1": 0, "v2": 1}',0);
INSERT INTO "predictions" VALUES(X'019AAAAC260070000000000000000005',0,1763800000.0,'r1','v1',0,X'9BEDB50409B929F3C6D55974585C66B5',3.0e-05,X'000000000000F03F0000000000000040',0,'{"v1": 0, "v2": 1}',NULL);
INSERT INTO "predictions" VALUES(X'019AAAAC260070000000000000000006',0,1763800000.0,'r1','v1',0,NULL,3.0e-05,X'000000000000F03F0000000000000040',0,'{"v1": 0, "v2": 0}',2);
INSERT INTO "predictions" VALUES(X'019AAAAC260070000000000000000006',1,1763800000.0,'r1','v1',0,NULL,3.0e-05,X'000000000000F03F0000000000000040',0,'{"v1": 0, "v2": 1}',1);
INSERT INTO "predictions" VALUES(X'019AAAAC260070000000000000000006',2,1763800000.0,'r1','v1',0,NULL,3.0e-05,X'000000000000F03F0000000000000040',0,'{"v1": 0, "v2": 1}',0);
INSERT INTO "predictions" VALUES(X'019AAAAC260070000000000000000007',0,1763800000.0,'r1','v1',0,NULL,3.0e-05,X'000000000000F03F0000000000000040',0,'{"v1": 0, "v2": 1}',2);
INSERT INTO "predictions" VALUES(X'019AAAAC260070000000000000000008',0,1763800000.0,'r1','v1',0,NULL,3.0e-05,X'000000000000F03F0000000000000040',0,'{"v1": 0, "v2": 0}',NULL);
INSERT INTO "predictions" VALUES(X'019AAAAC260070000000000000000009',0,1763800000.0,'r1','v1',1,NULL,3.0e-05,X'000000000000F03F0000000000000040',0,'{"v1": 0, "v2": 1}',1);
INSERT INTO "predictions" VALUES(X'019AAAAC26007000000000000000000A',0,1763800000.0,'r2','v3',0,X'AD89CF445CC71FCD123D6B82B85277D2',3.0e-05,X'000000000000F03F0000000000000040',1,'{"v1": 0, "v2": 1, "v3": 1}',1);
CREATE TABLE revisions (
    revision TEXT PRIMARY KEY, seen REAL NOT NULL, features TEXT NOT NULL, content TEXT NOT NULL
) WITHOUT ROWID;
INSERT INTO "revisions" VALUES('r1',1763800000.0,'["length", "width"]','{"revision": "r1", "control": "v1", "split": {"v1": 50.0, "v2": 50.0}, "models": {"v1": "hash-1", "v2": "hash-2"}, "features": ["length", "width"], "class_names": ["a", "b", "c"], "class_numbers": [0, 1, 2], "experiment": "experiment"}');
INSERT INTO "revisions" VALUES('r2',1763800001.0,'["length", "width"]','{"revision": "r2", "control": "v1", "split": {"v1": 40.0, "v2": 30.0, "v3": 30.0}, "models": {"v1": "hash-1", "v2": "hash-2", "v3": "hash-3"}, "features": ["length", "width"], "class_names": ["a", "b", "c"], "class_numbers": [0, 1, 2], "experiment": "experiment"}');
CREATE TABLE secrets (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
INSERT INTO "secrets" VALUES('user_salt',X'000102030405060708090A0B0C0D0E0F');
CREATE TABLE tally (   -- labelled rows, by the model whose answer was shown
    one TEXT, two TEXT, shown TEXT,
    both INTEGER NOT NULL DEFAULT 0, one_only INTEGER NOT NULL DEFAULT 0,
    two_only INTEGER NOT NULL DEFAULT 0,
    neither INTEGER NOT NULL DEFAULT 0,            -- both said the same, and were wrong
    neither_differ INTEGER NOT NULL DEFAULT 0,     -- wrong, each in its own way
    PRIMARY KEY (one, two, shown)
) WITHOUT ROWID;
INSERT INTO "tally" VALUES('hash-1','hash-2','hash-1',1,0,2,1,1);
INSERT INTO "tally" VALUES('hash-1','hash-2','hash-2',0,1,0,0,0);
INSERT INTO "tally" VALUES('hash-1','hash-2','hash-3',0,0,1,0,0);
INSERT INTO "tally" VALUES('hash-1','hash-3','hash-3',0,0,1,0,0);
CREATE TABLE users (
    revision TEXT, user BLOB, version TEXT NOT NULL, last_seen REAL NOT NULL,
    PRIMARY KEY (revision, user)
) WITHOUT ROWID;
INSERT INTO "users" VALUES('r1',X'9BEDB50409B929F3C6D55974585C66B5','v2',1763800000.0);
INSERT INTO "users" VALUES('r1',X'9FB1E5975D11ED38BD176E9F38A8E5A1','v1',1763800000.0);
INSERT INTO "users" VALUES('r2',X'AD89CF445CC71FCD123D6B82B85277D2','v3',1763800000.0);
CREATE TABLE versions (
    revision TEXT, version TEXT,
    requests INTEGER NOT NULL DEFAULT 0, errors INTEGER NOT NULL DEFAULT 0,
    labelled INTEGER NOT NULL DEFAULT 0, correct INTEGER NOT NULL DEFAULT 0,
    users INTEGER NOT NULL DEFAULT 0,      -- distinct ones, as in the table below
    PRIMARY KEY (revision, version)
) WITHOUT ROWID;
INSERT INTO "versions" VALUES('r1','v1',7,0,7,2,1);
INSERT INTO "versions" VALUES('r1','v2',1,1,1,0,1);
INSERT INTO "versions" VALUES('r2','v3',1,0,1,1,1);
CREATE TABLE voters (  -- users whose one labelled disagreement is in the tally
    one TEXT, two TEXT, user BLOB,
    PRIMARY KEY (one, two, user)
) WITHOUT ROWID;
INSERT INTO "voters" VALUES('hash-1','hash-2',X'9BEDB50409B929F3C6D55974585C66B5');
INSERT INTO "voters" VALUES('hash-1','hash-2',X'9FB1E5975D11ED38BD176E9F38A8E5A1');
INSERT INTO "voters" VALUES('hash-1','hash-2',X'AD89CF445CC71FCD123D6B82B85277D2');
INSERT INTO "voters" VALUES('hash-1','hash-3',X'AD89CF445CC71FCD123D6B82B85277D2');
CREATE INDEX users_last_seen ON users (last_seen);
COMMIT;
PRAGMA user_version = 1;
