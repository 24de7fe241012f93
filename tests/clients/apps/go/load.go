package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Store is what a client can do.
type Store interface {
	Set(key, value string) error
	Get(key string) (string, error)
}

var turn sync.Mutex

func isPlain() bool { return os.Getenv("APP_DEFAULTS") != "" }

func seeds() []string { return strings.Split(os.Getenv("APP_SEEDS"), ",") }

// Run writes and reads at a steady rate on every shard, until standard input ends, and prints a line of JSON for each
// operation.
func Run(store Store) {
	milliseconds, err := strconv.Atoi(os.Getenv("APP_PERIOD_MS"))
	if err != nil {
		panic(err)
	}
	for shard, tag := range strings.Split(os.Getenv("APP_TAGS"), ",") {
		go write(store, shard, tag, time.Duration(milliseconds)*time.Millisecond)
	}
	_, _ = io.Copy(io.Discard, os.Stdin)
	turn.Lock()
	os.Exit(0)
}

func write(store Store, shard int, tag string, period time.Duration) {
	for number := 0; ; number++ {
		started := time.Now()
		key := fmt.Sprintf("%s:{%s}:%d", os.Getenv("APP_PREFIX"), tag, number)
		value := strconv.Itoa(number)
		problem := ""
		acknowledged := 0.0
		err := store.Set(key, value)
		if err == nil {
			acknowledged = now()
			var found string
			if found, err = store.Get(key); err == nil && found != value {
				problem = "read back " + found
			}
		}
		if err != nil {
			problem = err.Error()
		}
		say(map[string]any{
			"t": now(), "shard": shard, "n": number, "ack": acknowledged, "error": problem,
		})
		time.Sleep(period - time.Since(started))
	}
}

func now() float64 { return float64(time.Now().UnixMilli()) / 1000 }

func say(record map[string]any) {
	line, err := json.Marshal(record)
	if err != nil {
		panic(err)
	}
	turn.Lock()
	defer turn.Unlock()
	fmt.Println(string(line))
}
