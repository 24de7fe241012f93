package main

import (
	"context"
	"os"
	"time"

	"github.com/redis/rueidis"
)

type store struct {
	client  rueidis.Client
	timeout time.Duration
}

func (s store) Set(key, value string) error {
	ctx, end := context.WithTimeout(context.Background(), s.timeout)
	defer end()
	return s.client.Do(ctx, s.client.B().Set().Key(key).Value(value).Build()).Error()
}

func (s store) Get(key string) (string, error) {
	ctx, end := context.WithTimeout(context.Background(), s.timeout)
	defer end()
	return s.client.Do(ctx, s.client.B().Get().Key(key).Build()).ToString()
}

func main() {
	connect := Connect
	timeout := time.Second
	if isPlain() {
		timeout = time.Minute
		connect = func() (rueidis.Client, error) {
			// Seeds and password, and nothing else.
			return rueidis.NewClient(rueidis.ClientOption{
				InitAddress: seeds(), Password: os.Getenv("REDIS_PASSWORD"),
			})
		}
	}
	client, err := connect()
	if err != nil {
		panic(err)
	}
	Run(store{client, timeout})
}
