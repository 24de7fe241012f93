"""A sample of every write command of every server that is supported, as lines to be said to a source.

The table is complete by test: a write command that a server's COMMAND lists and that is not here fails. A line that
begins with ``?`` may be refused, because an older server does not know the option or the command. Keys carry their
sample's name, so that samples don't meet. ``@dump:KEY`` stands for DUMP of a key, ``@functions`` for FUNCTION DUMP,
``@sink`` for host and port of a second server, ``@now`` for the time in seconds and ``@nowms`` in milliseconds.
``@gone KEY`` waits until it has expired. Consumers that get nothing are called ``silent``: that they were made is not
in the stream before something is theirs (Redis 7.2+), so no replica knows them.
"""

from __future__ import annotations

EMPTYING = ("flushall", "flushdb")
"""Those that take all samples' keys away, and so come first."""

BETWEEN_DATABASES = ("move", "swapdb")
"""Those that need more than one database."""

ELSEWHERE = {
    "cluster|flushslot": "only where the source is a node of a cluster",
}
"""Write commands that a stand-alone server refuses, with the reason."""

SAMPLES: dict[str, str] = {
    "flushall": """
        SET flushall:a 1
        FLUSHALL
        SET flushall:b 1
        FLUSHALL ASYNC
        SET flushall:c 1
        """,
    "flushdb": """
        SET flushdb:a 1
        FLUSHDB
        SET flushdb:b 1
        FLUSHDB ASYNC
        SET flushdb:c 1
        """,
    "append": "SET append:a x\nAPPEND append:a yz\nAPPEND append:new v",
    "bitfield": "BITFIELD bitfield:a SET u8 0 200 INCRBY u8 0 100 GET u8 0 OVERFLOW SAT INCRBY u8 8 300",
    "bitop": """
        SET bitop:a abc
        SET bitop:b xy
        BITOP AND bitop:and bitop:a bitop:b
        BITOP NOT bitop:not bitop:a
        SET {bitop}a abc
        BITOP OR {bitop}or {bitop}a {bitop}missing
        SET bitop:gone 1
        BITOP XOR bitop:gone bitop:missing
        ? BITOP DIFF {bitop}diff {bitop}a {bitop}or
        """,
    "blmove": """
        RPUSH blmove:a 1 2 3
        BLMOVE blmove:a blmove:b LEFT RIGHT 1
        RPUSH {blmove}a 1 2 3
        BLMOVE {blmove}a {blmove}b RIGHT LEFT 1
        BLMOVE {blmove}a {blmove}a RIGHT LEFT 1
        """,
    "blmpop": "RPUSH blmpop:b 1 2 3\nBLMPOP 1 2 blmpop:a blmpop:b LEFT COUNT 2",
    "blpop": "RPUSH blpop:b 1 2 3\nBLPOP blpop:a blpop:b 1",
    "brpop": "RPUSH brpop:b 1 2 3\nBRPOP brpop:a brpop:b 1",
    "brpoplpush": """
        RPUSH brpoplpush:a 1 2 3
        BRPOPLPUSH brpoplpush:a brpoplpush:b 1
        RPUSH {brpoplpush}a 1 2 3
        BRPOPLPUSH {brpoplpush}a {brpoplpush}b 1
        """,
    "bzmpop": "ZADD bzmpop:b 1 a 2 b 3 c\nBZMPOP 1 2 bzmpop:a bzmpop:b MAX COUNT 2",
    "bzpopmax": "ZADD bzpopmax:b 1 a 2 b\nBZPOPMAX bzpopmax:a bzpopmax:b 1",
    "bzpopmin": "ZADD bzpopmin:b 1 a 2 b\nBZPOPMIN bzpopmin:a bzpopmin:b 1",
    "copy": """
        SET copy:a 1 EX 900
        COPY copy:a copy:b
        SET copy:c 2
        COPY copy:a copy:c REPLACE
        SET {copy}a 1
        COPY {copy}a {copy}b
        COPY {copy}a {copy}c REPLACE
        COPY {copy}a {copy}b
        """,
    "decr": "SET decr:a 5\nDECR decr:a",
    "decrby": "SET decrby:a 5\nDECRBY decrby:a 7",
    "del": """
        MSET del:a 1 del:b 2 del:c 3
        DEL del:a del:b del:missing
        MSET {del}a 1 {del}b 2
        DEL {del}a {del}b
        DEL del:missing
        """,
    "delifeq": "SET delifeq:a 1\nDELIFEQ delifeq:a 1\nSET delifeq:b 1\nDELIFEQ delifeq:b 2",
    "expire": """
        MSET expire:a 1 expire:b 1 expire:c 1 expire:d 1
        EXPIRE expire:a 900
        EXPIRE expire:b -1
        EXPIRE expire:missing 900
        ? EXPIRE expire:c 900 NX
        ? EXPIRE expire:c 800 NX
        ? EXPIRE expire:c 950 GT
        ? EXPIRE expire:c 700 LT
        ? EXPIRE expire:d 900 XX
        """,
    "expireat": """
        MSET expireat:a 1 expireat:b 1
        EXPIREAT expireat:a @now+900
        EXPIREAT expireat:b 1
        ? EXPIREAT expireat:a @now+950 GT
        """,
    "function|load": """
        FUNCTION LOAD @library:one:count
        FUNCTION LOAD REPLACE @library:one:add
        FCALL one 1 function:a
        """,
    "function|restore": """
        FUNCTION LOAD REPLACE @library:two:nothing
        FUNCTION RESTORE @functions REPLACE
        FUNCTION RESTORE @functions FLUSH
        """,
    "function|delete": """
        FUNCTION LOAD @library:three:nothing
        FUNCTION DELETE three
        """,
    "function|flush": """
        FUNCTION FLUSH
        FUNCTION LOAD @library:four:nothing
        FUNCTION FLUSH SYNC
        FUNCTION LOAD @library:five:nothing
        """,
    "geoadd": """
        GEOADD geoadd:a 13.361389 38.115556 Palermo 15.087269 37.502669 Catania
        GEOADD geoadd:a NX 1 1 Palermo
        GEOADD geoadd:a XX CH 13.5 38 Palermo
        """,
    "georadius": """
        GEOADD georadius:a 13.361389 38.115556 Palermo 15.087269 37.502669 Catania
        GEORADIUS georadius:a 15 37 200 km STORE georadius:b
        GEORADIUS georadius:a 15 37 200 km STOREDIST georadius:c
        GEORADIUS georadius:a 15 37 200 km
        GEOADD {georadius}a 13.361389 38.115556 Palermo
        GEORADIUS {georadius}a 15 37 200 km STORE {georadius}b
        """,
    "georadiusbymember": """
        GEOADD georadiusbymember:a 13.361389 38.115556 Palermo 15.087269 37.502669 Catania
        GEORADIUSBYMEMBER georadiusbymember:a Palermo 200 km STORE georadiusbymember:b
        GEOADD {georadiusbymember}a 13.361389 38.115556 Palermo 15.087269 37.502669 Catania
        GEORADIUSBYMEMBER {georadiusbymember}a Palermo 200 km STOREDIST {georadiusbymember}b
        """,
    "geosearchstore": """
        GEOADD geosearchstore:a 13.361389 38.115556 Palermo 15.087269 37.502669 Catania
        GEOSEARCHSTORE geosearchstore:b geosearchstore:a FROMLONLAT 15 37 BYRADIUS 200 km ASC
        GEOADD {geosearchstore}a 13.361389 38.115556 Palermo
        GEOSEARCHSTORE {geosearchstore}b {geosearchstore}a FROMMEMBER Palermo BYBOX 400 400 km STOREDIST
        """,
    "getdel": "SET getdel:a 1\nGETDEL getdel:a\nGETDEL getdel:missing",
    "getex": """
        MSET getex:a 1 getex:b 1 getex:c 1 getex:d 1 getex:e 1
        GETEX getex:a EX 900
        GETEX getex:b PX 900000
        GETEX getex:c EXAT @now+900
        GETEX getex:c PERSIST
        GETEX getex:d PXAT @nowms+900000
        GETEX getex:d
        GETEX getex:e PXAT 1
        """,
    "getset": "SET getset:a 1 EX 900\nGETSET getset:a 2\nGETSET getset:new 2",
    "hdel": "HSET hdel:a f 1 g 2 h 3\nHDEL hdel:a f g missing\nHSET hdel:b f 1\nHDEL hdel:b f",
    "hexpire": """
        HSET hexpire:a f 1 g 2 h 3
        HEXPIRE hexpire:a 900 FIELDS 2 f g
        HEXPIRE hexpire:a 800 NX FIELDS 2 f h
        HEXPIRE hexpire:a 950 GT FIELDS 3 f g h
        HEXPIRE hexpire:a 0 FIELDS 1 g
        """,
    "hexpireat": """
        HSET hexpireat:a f 1 g 2
        HEXPIREAT hexpireat:a @now+900 FIELDS 1 f
        HEXPIREAT hexpireat:a 1 FIELDS 1 g
        """,
    "hgetdel": """
        HSET hgetdel:a f 1 g 2
        HGETDEL hgetdel:a FIELDS 1 f
        HSET hgetdel:b f 1
        HGETDEL hgetdel:b FIELDS 1 f
        """,
    "hgetex": """
        HSET hgetex:a f 1 g 2 h 3 i 4
        HGETEX hgetex:a EX 900 FIELDS 2 f missing
        HGETEX hgetex:a PXAT @nowms+900000 FIELDS 2 g h
        HGETEX hgetex:a PERSIST FIELDS 2 g i
        HGETEX hgetex:a EXAT 1 FIELDS 1 i
        """,
    "hincrby": "HINCRBY hincrby:a f 5",
    "hincrbyfloat": "HSET hincrbyfloat:a f 10.5\nHINCRBYFLOAT hincrbyfloat:a f 0.1\nHINCRBYFLOAT hincrbyfloat:b f 3",
    "hmset": "HMSET hmset:a f 1 g 2",
    "hpersist": """
        HSET hpersist:a f 1 g 2
        HEXPIRE hpersist:a 900 FIELDS 2 f g
        HPERSIST hpersist:a FIELDS 2 f missing
        """,
    "hpexpire": """
        HSET hpexpire:a f 1 g 2
        HPEXPIRE hpexpire:a 900000 FIELDS 1 f
        HPEXPIRE hpexpire:a 800000 LT FIELDS 2 f g
        HPEXPIRE hpexpire:a 700000 XX FIELDS 2 f g
        """,
    "hpexpireat": "HSET hpexpireat:a f 1\nHPEXPIREAT hpexpireat:a @nowms+900000 FIELDS 2 f missing",
    "hset": "HSET hset:a f 1 g 2\nHSET hset:a f 3",
    "hsetex": """
        HSETEX hsetex:a EX 900 FIELDS 2 f 1 g 2
        HSETEX hsetex:a FXX KEEPTTL FIELDS 1 f 3
        HSETEX hsetex:a FNX PX 900000 FIELDS 1 h 4
        HSETEX hsetex:a PXAT @nowms+900000 FIELDS 1 i 5
        HSETEX hsetex:a FIELDS 1 g 6
        HSETEX hsetex:a EXAT 1 FIELDS 1 f 7
        """,
    "hsetnx": "HSETNX hsetnx:a f 1\nHSETNX hsetnx:a f 2",
    "incr": "INCR incr:a\nINCR incr:a",
    "incrby": "INCRBY incrby:a 7",
    "incrbyfloat": "SET incrbyfloat:a 10.5 EX 900\nINCRBYFLOAT incrbyfloat:a 0.1\nINCRBYFLOAT incrbyfloat:b 1e3",
    "linsert": "RPUSH linsert:a 1 3\nLINSERT linsert:a BEFORE 3 2\nLINSERT linsert:a AFTER 9 2",
    "lmove": """
        RPUSH lmove:a 1 2 3
        LMOVE lmove:a lmove:b LEFT RIGHT
        RPUSH {lmove}a 1
        LMOVE {lmove}a {lmove}b RIGHT LEFT
        """,
    "lmpop": "RPUSH lmpop:b 1 2 3\nLMPOP 2 lmpop:a lmpop:b RIGHT COUNT 2\nLMPOP 1 lmpop:b LEFT",
    "lpop": "RPUSH lpop:a 1 2 3 4\nLPOP lpop:a\nLPOP lpop:a 2",
    "lpush": "LPUSH lpush:a 1 2 3",
    "lpushx": "LPUSH lpushx:a 1\nLPUSHX lpushx:a 2 3\nLPUSHX lpushx:missing 2",
    "lrem": "RPUSH lrem:a 1 2 1 3 1\nLREM lrem:a -2 1",
    "lset": "RPUSH lset:a 1 2 3\nLSET lset:a -1 9",
    "ltrim": "RPUSH ltrim:a 1 2 3 4\nLTRIM ltrim:a 1 2\nRPUSH ltrim:b 1\nLTRIM ltrim:b 5 9",
    "migrate": """
        MSET migrate:a 1 migrate:b 2 migrate:c 3 migrate:d 4
        MIGRATE @sink migrate:a 0 5000
        MIGRATE @sink "" 0 5000 REPLACE KEYS migrate:b migrate:c
        MIGRATE @sink migrate:d 0 5000 COPY
        """,
    "move": "SET move:a 1 EX 900\nMOVE move:a 5\nMOVE move:missing 5",
    "mset": "MSET mset:a 1 mset:b 2 {mset}a 3 {mset}b 4\nSET mset:c 1 EX 900\nMSET mset:c 2",
    "msetex": """
        MSETEX 2 msetex:a 1 msetex:b 2 EX 900
        MSETEX 2 {msetex}a 1 {msetex}b 2 NX PX 900000
        MSETEX 1 msetex:a 3 XX KEEPTTL
        MSETEX 1 msetex:c 3 EXAT @now+900
        MSETEX 1 msetex:d 3
        """,
    "msetnx": "MSETNX msetnx:a 1 msetnx:b 2\nMSETNX msetnx:a 3 msetnx:c 4\nMSETNX {msetnx}a 1 {msetnx}b 2",
    "persist": "SET persist:a 1 EX 900\nPERSIST persist:a\nPERSIST persist:missing",
    "pexpire": "SET pexpire:a 1\nPEXPIRE pexpire:a 900000\nSET pexpire:b 1\nPEXPIRE pexpire:b -1",
    "pexpireat": "SET pexpireat:a 1\nPEXPIREAT pexpireat:a @nowms+900000\nSET pexpireat:b 1\nPEXPIREAT pexpireat:b 1",
    "pfadd": "PFADD pfadd:a x y z\nPFADD pfadd:a x\nPFADD pfadd:empty\nPFCOUNT pfadd:a\nPFCOUNT pfadd:a pfadd:empty",
    "pfdebug": "PFADD pfdebug:a x y z\nPFDEBUG TODENSE pfdebug:a\nPFDEBUG GETREG pfdebug:a",
    "pfmerge": """
        PFADD pfmerge:a x y
        PFADD pfmerge:b y z
        PFMERGE pfmerge:c pfmerge:a pfmerge:b
        PFADD {pfmerge}a x y
        PFMERGE {pfmerge}b {pfmerge}a
        PFMERGE pfmerge:a
        """,
    "psetex": "PSETEX psetex:a 900000 v",
    "rename": """
        SET rename:a 1 EX 900
        RENAME rename:a rename:b
        SET {rename}a 1
        SET {rename}b 2 EX 900
        RENAME {rename}a {rename}b
        """,
    "renamenx": """
        SET renamenx:a 1
        RENAMENX renamenx:a renamenx:b
        SET {renamenx}a 1
        RENAMENX {renamenx}a {renamenx}b
        SET {renamenx}a 2
        RENAMENX {renamenx}a {renamenx}b
        """,
    "restore": """
        RPUSH restore:a 1 2 3
        RESTORE restore:b 0 @dump:restore:a
        RESTORE restore:c 900000 @dump:restore:a
        RESTORE restore:c @nowms+900000 @dump:restore:a REPLACE ABSTTL IDLETIME 5
        RESTORE restore:d 1 @dump:restore:a ABSTTL
        """,
    "restore-asking": "RPUSH restore-asking:a 1\nRESTORE-ASKING restore-asking:b 0 @dump:restore-asking:a REPLACE",
    "rpop": "RPUSH rpop:a 1 2 3 4\nRPOP rpop:a\nRPOP rpop:a 2",
    "rpoplpush": """
        RPUSH rpoplpush:a 1 2 3
        RPOPLPUSH rpoplpush:a rpoplpush:b
        RPUSH {rpoplpush}a 1 2 3
        RPOPLPUSH {rpoplpush}a {rpoplpush}b
        RPOPLPUSH {rpoplpush}a {rpoplpush}a
        """,
    "rpush": "RPUSH rpush:a 1 2 3",
    "rpushx": "RPUSH rpushx:a 1\nRPUSHX rpushx:a 2",
    "sadd": "SADD sadd:a x y z\nSADD sadd:a x w",
    "sdiffstore": """
        SADD sdiffstore:a x y z
        SADD sdiffstore:b y
        SDIFFSTORE sdiffstore:c sdiffstore:a sdiffstore:b
        SET sdiffstore:d 1
        SDIFFSTORE sdiffstore:d sdiffstore:missing
        SADD {sdiffstore}a x
        SDIFFSTORE {sdiffstore}b {sdiffstore}a
        """,
    "set": """
        SET set:a 1
        SET set:a 2 GET
        SET set:b 1 EX 900
        SET set:b 2 KEEPTTL
        SET set:c 1 PX 900000 NX
        SET set:c 2 NX
        SET set:c 3 XX
        SET set:d 1 EXAT @now+900
        SET set:e 1 PXAT @nowms+900000 GET
        SET set:f 1 PXAT 1
        ? SET set:a 3 IFEQ 2
        ? SET set:a 4 EX 900 IFEQ 3
        """,
    "setbit": "SETBIT setbit:a 7 1",
    "setex": "SETEX setex:a 900 v",
    "setnx": "SETNX setnx:a 1\nSETNX setnx:a 2",
    "setrange": "SETRANGE setrange:a 6 Redis\nSETRANGE setrange:b 0 ''",
    "sinterstore": """
        SADD sinterstore:a x y z
        SADD sinterstore:b y
        SINTERSTORE sinterstore:c sinterstore:a sinterstore:b
        SADD {sinterstore}a x
        SINTERSTORE {sinterstore}b {sinterstore}a {sinterstore}a
        """,
    "smove": """
        SADD smove:a x y z
        SMOVE smove:a smove:b x
        SMOVE smove:a smove:b missing
        SADD {smove}a x y
        SMOVE {smove}a {smove}b x
        SMOVE {smove}a {smove}a y
        """,
    "sort": """
        RPUSH sort:a 3 1 2
        SORT sort:a STORE sort:b
        MSET sort:w1 9 sort:w2 8 sort:w3 7
        SORT sort:a BY sort:w* GET sort:w* STORE sort:c
        RPUSH {sort}a 3 1 2
        SORT {sort}a LIMIT 0 2 DESC STORE {sort}b
        SORT sort:a
        SORT sort:missing STORE sort:b
        """,
    "spop": """
        SADD spop:a x y z w v
        SPOP spop:a
        SPOP spop:a 2
        SADD spop:b x y
        SPOP spop:b 5
        SADD spop:c x
        SPOP spop:c
        """,
    "srem": "SADD srem:a x y z\nSREM srem:a x y missing",
    "sunionstore": """
        SADD sunionstore:a x y
        SADD sunionstore:b z
        SUNIONSTORE sunionstore:c sunionstore:a sunionstore:b
        SADD {sunionstore}a x
        SUNIONSTORE {sunionstore}b {sunionstore}a
        """,
    "swapdb": "SET swapdb:a 1\nSWAPDB 0 5",
    "unlink": "MSET unlink:a 1 unlink:b 2 {unlink}a 1\nUNLINK unlink:a unlink:b {unlink}a",
    "vadd": "VADD vadd:a VALUES 3 1 2 3 x\nVADD vadd:a VALUES 3 3 2 1 y",
    "vrem": "VADD vrem:a VALUES 3 1 2 3 x\nVREM vrem:a x",
    "vsetattr": "VADD vsetattr:a VALUES 3 1 2 3 x\nVSETATTR vsetattr:a x '{}'",
    "xack": """
        XADD xack:a 1-1 f v
        XADD xack:a 1-2 f v
        XGROUP CREATE xack:a g 0
        XREADGROUP GROUP g c STREAMS xack:a >
        XACK xack:a g 1-1
        """,
    "xackdel": """
        XADD xackdel:a 1-1 f v
        XADD xackdel:a 1-2 f v
        XGROUP CREATE xackdel:a g 0
        XREADGROUP GROUP g c STREAMS xackdel:a >
        XACKDEL xackdel:a g DELREF IDS 1 1-1
        """,
    "xadd": """
        XADD xadd:a * f v g w
        ? XADD xadd:a 9999999999999-* f v
        XADD xadd:b MAXLEN 2 * f 1
        XADD xadd:b MAXLEN ~ 2 * f 2
        XADD xadd:b MAXLEN = 2 * f 3
        XADD xadd:b * f 4
        XADD xadd:c 5-1 f v
        XADD xadd:c MINID ~ 3 LIMIT 100 6-1 f v
        XADD xadd:c MINID 6 7-1 f v
        XADD xadd:missing NOMKSTREAM * f v
        XADD xadd:c NOMKSTREAM * f v
        ? XADD xadd:c KEEPREF MAXLEN 1 * f v
        ? XADD xadd:d 1-* f v
        """,
    "xautoclaim": """
        XADD xautoclaim:a 1-1 f v
        XADD xautoclaim:a 1-2 f v
        XGROUP CREATE xautoclaim:a g 0
        XREADGROUP GROUP g c STREAMS xautoclaim:a >
        XAUTOCLAIM xautoclaim:a g d 0 0
        XDEL xautoclaim:a 1-1
        XAUTOCLAIM xautoclaim:a g silent 0 0 COUNT 1 JUSTID
        """,
    "xclaim": """
        XADD xclaim:a 1-1 f v
        XADD xclaim:a 1-2 f v
        XGROUP CREATE xclaim:a g 0
        XREADGROUP GROUP g c STREAMS xclaim:a >
        XCLAIM xclaim:a g d 0 1-1
        XCLAIM xclaim:a g e 0 1-2 JUSTID RETRYCOUNT 7
        XCLAIM xclaim:a g silent 9999999 1-2
        """,
    "xdel": "XADD xdel:a 1-1 f v\nXADD xdel:a 1-2 f v\nXDEL xdel:a 1-2",
    "xdelex": "XADD xdelex:a 1-1 f v\nXADD xdelex:a 1-2 f v\nXDELEX xdelex:a DELREF IDS 1 1-1",
    "xgroup": """
        XADD xgroup:a 1-1 f v
        XGROUP CREATE xgroup:a g 0
        XGROUP CREATE xgroup:a h $
        XGROUP CREATE xgroup:new i $ MKSTREAM
        XGROUP CREATECONSUMER xgroup:a g c
        XGROUP CREATECONSUMER xgroup:a g d
        XGROUP DELCONSUMER xgroup:a g c
        XGROUP SETID xgroup:a g 1-1
        XGROUP DESTROY xgroup:a h
        """,
    "xgroup|create": """
        XADD xgroupcreate:a 1-1 f v
        XGROUP CREATE xgroupcreate:a g 0
        ? XGROUP CREATE xgroupcreate:a h 0 ENTRIESREAD 1
        XGROUP CREATE xgroupcreate:new i $ MKSTREAM
        """,
    "xgroup|createconsumer": """
        XADD xgroupcc:a 1-1 f v
        XGROUP CREATE xgroupcc:a g 0
        XGROUP CREATECONSUMER xgroupcc:a g c
        """,
    "xgroup|delconsumer": """
        XADD xgroupdc:a 1-1 f v
        XGROUP CREATE xgroupdc:a g 0
        XREADGROUP GROUP g c STREAMS xgroupdc:a >
        XGROUP DELCONSUMER xgroupdc:a g c
        """,
    "xgroup|destroy": "XADD xgroupd:a 1-1 f v\nXGROUP CREATE xgroupd:a g 0\nXGROUP DESTROY xgroupd:a g",
    "xgroup|setid": """
        XADD xgroups:a 1-1 f v
        XGROUP CREATE xgroups:a g 0
        XGROUP SETID xgroups:a g $
        ? XGROUP SETID xgroups:a g 1-1 ENTRIESREAD 1
        """,
    "xreadgroup": """
        XADD xreadgroup:a 1-1 f v
        XADD xreadgroup:a 1-2 f v
        XADD xreadgroup:b 1-1 f v
        XGROUP CREATE xreadgroup:a g 0
        XGROUP CREATE xreadgroup:b g 0
        XREADGROUP GROUP g c COUNT 1 STREAMS xreadgroup:a xreadgroup:b > >
        XREADGROUP GROUP g d NOACK STREAMS xreadgroup:a >
        XREADGROUP GROUP g silent STREAMS xreadgroup:a >
        """,
    "xsetid": "XADD xsetid:a 1-1 f v\nXSETID xsetid:a 9-9\n? XSETID xsetid:a 10-1 ENTRIESADDED 50 MAXDELETEDID 2-2",
    "xtrim": """
        XADD xtrim:a 1-1 f v
        XADD xtrim:a 1-2 f v
        XADD xtrim:a 1-3 f v
        XTRIM xtrim:a MAXLEN 2
        XTRIM xtrim:a MINID ~ 1-2
        XTRIM xtrim:a MINID 1-3
        ? XTRIM xtrim:a MAXLEN 1 KEEPREF
        ? XTRIM xtrim:a MAXLEN 0 DELREF
        """,
    "zadd": """
        ZADD zadd:a 1 a 2.5 b inf c
        ZADD zadd:a NX 9 a 4 d
        ZADD zadd:a XX GT CH 5 a 1 b
        ZADD zadd:a INCR 1.1 a
        ZADD zadd:a XX 5 missing
        """,
    "zdiffstore": """
        ZADD zdiffstore:a 1 x 2 y
        ZADD zdiffstore:b 1 x
        ZDIFFSTORE zdiffstore:c 2 zdiffstore:a zdiffstore:b
        ZADD {zdiffstore}a 1 x
        ZDIFFSTORE {zdiffstore}b 1 {zdiffstore}a
        """,
    "zincrby": "ZINCRBY zincrby:a 1.1 x\nZINCRBY zincrby:a 2.2 x",
    "zinterstore": """
        ZADD zinterstore:a 1 x 2 y
        SADD zinterstore:b x
        ZINTERSTORE zinterstore:c 2 zinterstore:a zinterstore:b WEIGHTS 2 3 AGGREGATE MAX
        ZADD {zinterstore}a 1 x
        ZINTERSTORE {zinterstore}b 2 {zinterstore}a {zinterstore}a
        """,
    "zmpop": "ZADD zmpop:b 1 x 2 y 3 z\nZMPOP 2 zmpop:a zmpop:b MIN COUNT 2\nZMPOP 1 zmpop:b MAX",
    "zpopmax": "ZADD zpopmax:a 1 x 2 y 3 z\nZPOPMAX zpopmax:a\nZPOPMAX zpopmax:a 2",
    "zpopmin": "ZADD zpopmin:a 1 x 2 y 3 z\nZPOPMIN zpopmin:a 2",
    "zrangestore": """
        ZADD zrangestore:a 1 x 2 y 3 z
        ZRANGESTORE zrangestore:b zrangestore:a 0 1
        ZADD {zrangestore}a 1 x 2 y
        ZRANGESTORE {zrangestore}b {zrangestore}a (1 +inf BYSCORE LIMIT 0 5
        """,
    "zrem": "ZADD zrem:a 1 x 2 y\nZREM zrem:a x missing",
    "zremrangebylex": "ZADD zremrangebylex:a 0 a 0 b 0 c\nZREMRANGEBYLEX zremrangebylex:a [a (c",
    "zremrangebyrank": "ZADD zremrangebyrank:a 1 a 2 b 3 c\nZREMRANGEBYRANK zremrangebyrank:a 0 1",
    "zremrangebyscore": "ZADD zremrangebyscore:a 1 a 2 b 3 c\nZREMRANGEBYSCORE zremrangebyscore:a (1 2",
    "zunionstore": """
        ZADD zunionstore:a 1 x 2 y
        ZADD zunionstore:b 5 x
        ZUNIONSTORE zunionstore:c 2 zunionstore:a zunionstore:b
        ZADD {zunionstore}a 1 x
        ZUNIONSTORE {zunionstore}b 1 {zunionstore}a WEIGHTS 3
        """,
}
"""By name as COMMAND gives it, subcommands after a bar."""

TOGETHER: dict[str, str] = {
    "transaction": """
        MULTI
        SET multi:a 1
        INCR multi:b
        RPUSH multi:c x
        RENAME multi:c multi:d
        EXEC
        """,
    "script": """
        EVAL "redis.call('SET', KEYS[1], ARGV[1]) redis.call('INCR', KEYS[2]) return 1" 2 script:a script:b v
        EVAL "return redis.call('SPOP', KEYS[1])" 1 script:missing
        SADD script:c x y z
        EVAL "return redis.call('SPOP', KEYS[1])" 1 script:c
        EVAL "redis.call('SET', 'script:undeclared', 1) return 1" 0
        EVAL "return redis.call('SET', KEYS[1], 'v', 'EX', 900)" 1 script:d
        SCRIPT LOAD "return 1"
        SCRIPT FLUSH
        """,
    "messages": "PUBLISH messages:a hello\n? SPUBLISH messages:a hello",
    "expiry": """
        SET expiry:a 1 PX 1
        @gone expiry:a
        SET expiry:b 1 PX 1
        INCR expiry:b
        ? HSETEX expiry:c PX 1 FIELDS 1 f v
        ? HGET expiry:c f
        @gone expiry:c
        """,
    "bytes": """
        SET 'bytes:\\x00\\xff\\r\\n' '\\x00\\x01\\r\\n$5\\r\\n'
        SET bytes:empty ''
        HSET bytes:h '' ''
        set bytes:small 1
        SeT bytes:mixed 1 eX 900
        """,
    "reading": "SET reading:a 1\nGET reading:a\nTOUCH reading:a reading:b\nOBJECT ENCODING reading:a\nSCAN 0",
}
"""What is more than one command, or no write command by itself."""
