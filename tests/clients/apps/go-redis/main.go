package main

import (
	"context"
	"os"

	"github.com/redis/go-redis/v9"
)

type store struct{ client *redis.ClusterClient }

func (s store) Set(key, value string) error {
	return s.client.Set(context.Background(), key, value, 0).Err()
}

func (s store) Get(key string) (string, error) {
	return s.client.Get(context.Background(), key).Result()
}

func main() {
	if isPlain() {
		// Seeds and password, and nothing else.
		Run(store{redis.NewClusterClient(&redis.ClusterOptions{
			Addrs: seeds(), Password: os.Getenv("REDIS_PASSWORD"),
		})})
	}
	Run(store{Connect()})
}
