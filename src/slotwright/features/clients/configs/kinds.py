"""The kinds of clients, a row each. Their templates are in ``templates/``, in the client's own language."""

from __future__ import annotations

from slotwright.errors import InputError
from slotwright.features.clients.configs.kind import ClientKind

KINDS: tuple[ClientKind, ...] = (
    ClientKind(
        name="spring-boot",
        title="Spring Boot 3 and later",
        tried="3.5.7",
        dependency="org.springframework.boot:spring-boot-starter-data-redis of Spring Boot {tried} (Lettuce 6.6.0)",
        file="src/main/resources/application.yml",
        language="yaml",
        comment="#",
        template="spring-boot.yaml.tmpl",
        values={
            "section": "  data:\n    redis:",
            "indent": " " * 6,
            "tls_line": "ssl.enabled: true   # a CA of your own: ssl.bundle",
        },
    ),
    ClientKind(
        name="lettuce",
        title="Lettuce",
        tried="7.7.0.RELEASE",
        dependency="io.lettuce:lettuce-core:{tried}",
        file="src/main/java/ClusterClient.java",
        language="java",
        comment="//",
        template="lettuce.java.tmpl",
    ),
    ClientKind(
        name="jedis",
        title="Jedis",
        tried="7.5.3",
        dependency="redis.clients:jedis:{tried}",
        file="src/main/java/ClusterClient.java",
        language="java",
        comment="//",
        template="jedis.java.tmpl",
    ),
    ClientKind(
        name="redisson",
        title="Redisson",
        tried="3.52.0",
        dependency="org.redisson:redisson:{tried}",
        file="src/main/resources/redisson.yaml",
        language="yaml",
        comment="#",
        template="redisson.yaml.tmpl",
    ),
    ClientKind(
        name="redis-py",
        title="redis-py",
        tried="8.1.0",
        dependency="redis=={tried}",
        file="redis_cluster.py",
        language="python",
        comment="#",
        template="redis-py.py.tmpl",
    ),
    ClientKind(
        name="valkey-py",
        title="valkey-py",
        tried="6.2.0",
        dependency="valkey=={tried}",
        file="valkey_cluster.py",
        language="python",
        comment="#",
        template="valkey-py.py.tmpl",
    ),
    ClientKind(
        name="valkey-glide",
        title="Valkey GLIDE (Python)",
        tried="2.6.0",
        dependency="valkey-glide=={tried}",
        file="glide_cluster.py",
        language="python",
        comment="#",
        template="valkey-glide.py.tmpl",
    ),
    ClientKind(
        name="ioredis",
        title="ioredis",
        tried="6.0.0",
        dependency="npm install ioredis@{tried}",
        file="redis-cluster.js",
        language="javascript",
        comment="//",
        template="ioredis.js.tmpl",
        values={"package": "ioredis"},
    ),
    ClientKind(
        name="iovalkey",
        title="iovalkey",
        tried="0.4.0",
        dependency="npm install iovalkey@{tried}",
        file="valkey-cluster.js",
        language="javascript",
        comment="//",
        template="ioredis.js.tmpl",
        values={"package": "iovalkey"},
    ),
    ClientKind(
        name="node-redis",
        title="node-redis",
        tried="6.3.1",
        dependency="npm install redis@{tried}",
        file="redis-cluster.js",
        language="javascript",
        comment="//",
        template="node-redis.js.tmpl",
    ),
    ClientKind(
        name="go-redis",
        title="go-redis",
        tried="v9.23.0",
        dependency="go get github.com/redis/go-redis/v9@{tried}",
        file="cluster.go",
        language="go",
        comment="//",
        template="go-redis.go.tmpl",
    ),
    ClientKind(
        name="rueidis",
        title="rueidis",
        tried="v1.0.79",
        dependency="go get github.com/redis/rueidis@{tried}",
        file="cluster.go",
        language="go",
        comment="//",
        template="rueidis.go.tmpl",
    ),
    ClientKind(
        name="phpredis",
        title="phpredis",
        tried="6.x",
        dependency="pecl install redis ({tried})",
        file="redis_cluster.php",
        language="php",
        comment="//",
        template="phpredis.php.tmpl",
        first="<?php",
        is_run=False,
    ),
    ClientKind(
        name="predis",
        title="Predis",
        tried="2.x",
        dependency="composer require predis/predis:^{tried}",
        file="redis_cluster.php",
        language="php",
        comment="//",
        template="predis.php.tmpl",
        first="<?php",
        is_run=False,
    ),
    ClientKind(
        name="stackexchange-redis",
        title="StackExchange.Redis",
        tried="2.x",
        dependency="dotnet add package StackExchange.Redis ({tried})",
        file="ClusterConnection.cs",
        language="csharp",
        comment="//",
        template="stackexchange-redis.cs.tmpl",
        is_run=False,
    ),
    ClientKind(
        name="redis-rs",
        title="redis-rs",
        tried="1.8.1",
        dependency='redis = { version = "{tried}", features = [<<features>>] }',
        file="src/cluster.rs",
        language="rust",
        comment="//",
        template="redis-rs.rs.tmpl",
    ),
)
"""One each; of Spring Boot the newer generation."""

SPRING_BOOT_2 = ClientKind(
    name="spring-boot",
    title="Spring Boot 2",
    tried="2.7.18",
    dependency="org.springframework.boot:spring-boot-starter-data-redis of Spring Boot {tried} (Lettuce 6.1.10)",
    file="src/main/resources/application.yml",
    language="yaml",
    comment="#",
    template="spring-boot.yaml.tmpl",
    values={
        "section": "  redis:",
        "indent": " " * 4,
        "tls_line": "ssl: true   # a CA of your own: in the JVM's trust store",
    },
)


def kind_of(name: str, boot: int = 3) -> ClientKind:
    """The row of the table; ``boot`` is Spring Boot's generation, 2 or 3. Raises InputError (unknown-kind)."""
    if name == SPRING_BOOT_2.name and boot == 2:
        return SPRING_BOOT_2
    client_kind = next((kind for kind in KINDS if kind.name == name), None)
    if client_kind is None:
        raise InputError(
            f"no client is called '{name}'",
            code="unknown-kind",
            where=name,
            hint=f"one of: {', '.join(kind.name for kind in KINDS)}",
        )
    return client_kind
