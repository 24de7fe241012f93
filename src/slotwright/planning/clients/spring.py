"""Spring Boot with Lettuce: one YAML, under two names of its section."""

from __future__ import annotations

from slotwright.planning.clients.kind import Kind

# `~` is the depth at which Spring's generation has its section.
_SECTION = """
?user|~username: <<user>>
?password|~password: ${<<env>>}
?tls|~@ssl
~connect-timeout: <<connect_ms>>ms
~# One command. What was sent to a primary that died, or waits for its successor, fails after this time.
~timeout: <<command_ms>>ms
~cluster:
~  # MOVED and ASK that one command may follow.
~  max-redirects: <<redirects>>
~  # A primary and a replica of every shard: any one that answers is enough to learn of the others.
~  nodes:
*|~    - "<<seed>>"
~lettuce:
~  cluster:
~    refresh:
~      # Both are off unless set, and the application then stays with the nodes that it saw at its start: after
~      # a primary's death it goes on failing. adaptive: ask anew on MOVED and lost connections, but only once in
~      # 30 s (Lettuce 6); one that came before the takeover is then the last for long. So period is needed, too.
~      adaptive: true
~      period: <<refresh_ms>>ms
# A write is not tried again by itself: for up to <<takeover_s>> s after a primary's death, calls for its shard fail.
# Retry those that may run twice.
# Reads may go to replicas, and be a moment old: a LettuceClientConfigurationBuilderCustomizer bean with
# readFrom(ReadFrom.REPLICA_PREFERRED).
# Only where the application reaches the nodes under other addresses than they announce (NAT): a ClientResources
# bean with a MappingSocketAddressResolver.
"""

SPRING_BOOT_3 = Kind(
    name="spring-boot",
    title="Spring Boot 3 and later",
    tried="3.5.7",
    dependency="org.springframework.boot:spring-boot-starter-data-redis of Spring Boot {tried} (Lettuce 6.6.0)",
    file="src/main/resources/application.yml",
    language="yaml",
    comment="#",
    template="spring:\n  data:\n    redis:"
    + _SECTION.replace("~", " " * 6).replace("@ssl", "ssl.enabled: true   # a CA of your own: ssl.bundle"),
)

SPRING_BOOT_2 = Kind(
    name="spring-boot",
    title="Spring Boot 2",
    tried="2.7.18",
    dependency="org.springframework.boot:spring-boot-starter-data-redis of Spring Boot {tried} (Lettuce 6.1.10)",
    file="src/main/resources/application.yml",
    language="yaml",
    comment="#",
    template="spring:\n  redis:"
    + _SECTION.replace("~", " " * 4).replace("@ssl", "ssl: true   # a CA of your own: in the JVM's trust store"),
)
