"""Go: go-redis and rueidis."""

from __future__ import annotations

from slotwright.planning.clients.kind import Kind

GO_REDIS = Kind(
    name="go-redis",
    title="go-redis",
    tried="v9.23.0",
    dependency="go get github.com/redis/go-redis/v9@{tried}",
    file="cluster.go",
    language="go",
    comment="//",
    template="""
package main

import (
?tls|	"crypto/tls"
?password|	"os"
	"time"

	"github.com/redis/go-redis/v9"
)

// Connect makes the one client of the process; goroutines share it.
func Connect() *redis.ClusterClient {
	return redis.NewClusterClient(&redis.ClusterOptions{
		// A primary and a replica of every shard: any one that answers is enough.
		Addrs: []string{
*|			"<<seed>>",
		},
?user|		Username: "<<user>>",
?password|		Password: os.Getenv("<<env>>"),
?tls|		TLSConfig: &tls.Config{MinVersion: tls.VersionTLS12}, // a CA of your own: RootCAs
		DialTimeout:  <<connect_ms>> * time.Millisecond,
		ReadTimeout:  <<command_ms>> * time.Millisecond,
		WriteTimeout: <<command_ms>> * time.Millisecond,
		// A dead host is given up after one attempt; the command then goes on with another node.
		DialerRetries: 1,
		// How often a command is sent again, elsewhere or after a pause; a write may so run twice. 3 unless set,
		// which is over long before a takeover (up to <<takeover_s>> s here).
		MaxRedirects:    <<tries>>,
		MinRetryBackoff: 50 * time.Millisecond,
		MaxRetryBackoff: 500 * time.Millisecond,
		// A minute unless set. MOVED and lost connections fetch the map as well.
		ClusterStateReloadInterval: <<refresh_ms>> * time.Millisecond,
		// Reads may go to replicas, and be a moment old: ReadOnly: true, RouteRandomly: true.
		// Only where the nodes are reached under other addresses than they announce (NAT): Dialer.
	})
}
""",
)

RUEIDIS = Kind(
    name="rueidis",
    title="rueidis",
    tried="v1.0.79",
    dependency="go get github.com/redis/rueidis@{tried}",
    file="cluster.go",
    language="go",
    comment="//",
    template="""
package main

import (
?tls|	"crypto/tls"
	"net"
?password|	"os"
	"time"

	"github.com/redis/rueidis"
)

// Connect makes the one client of the process; goroutines share it.
func Connect() (rueidis.Client, error) {
	return rueidis.NewClient(rueidis.ClientOption{
		// A primary and a replica of every shard: any one that answers is enough.
		InitAddress: []string{
*|			"<<seed>>",
		},
		ShuffleInit: true,
?user|		Username: "<<user>>",
?password|		Password: os.Getenv("<<env>>"),
?tls|		TLSConfig: &tls.Config{MinVersion: tls.VersionTLS12}, // a CA of your own: RootCAs
		Dialer: net.Dialer{Timeout: <<connect_ms>> * time.Millisecond},
		// A connection whose server owes an answer for so long is given up. 10 s unless set.
		ConnWriteTimeout: <<command_ms>> * time.Millisecond,
		ClusterOption: rueidis.ClusterOption{
			// Off unless set.
			ShardsRefreshInterval: <<refresh_ms>> * time.Millisecond,
			MaxMovedRedirections:  <<redirects>>,
		},
		// Writes are not sent twice: for up to <<takeover_s>> s after a primary's death, those for its shard fail.
		// Give each call a context with a deadline, and retry those that may run twice.
		// Reads may go to replicas, and be a moment old: SendToReplicas.
		// Only where the nodes are reached under other addresses than they announce (NAT): DialCtxFn.
	})
}
""",
)
