// Ships an order: start it, run its activity here, approve it, wait for its end.
//
//	REDIS_URL=redis://localhost:6379 go run . order-3
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"os"

	"github.com/redis/go-redis/v9"
)

func printLabel(_ context.Context, task Task, note func(any) error) (any, error) {
	if task.Attempt == 1 {
		if err := note(map[string]string{"printed": "half"}); err != nil {
			return nil, err
		}
		return nil, Failure{"PrinterJam", "the first one always jams"}
	}
	return map[string]any{"printed_by": "go", "to": task.Call.Input, "after": task.Heartbeat}, nil
}

func ship(ctx context.Context, hub *Hub, id string) error {
	start := []any{"start", "ShipOrder", "input", `"Main Street 1"`, "id", "start-" + id}
	if err := hub.Tell(ctx, id, start...); err != nil {
		return err
	}
	if err := hub.Tell(ctx, id, "event", "Approval", "data", `"go"`, "id", "approval-"+id); err != nil {
		return err
	}
	status, last, err := hub.Finished(ctx, id)
	if err != nil {
		return err
	}
	var event struct{ Result json.RawMessage }
	if err := json.Unmarshal(last, &event); err != nil {
		return err
	}
	fmt.Println(id, status, string(event.Result))
	return nil
}

func main() {
	id, url := "order-3", os.Getenv("REDIS_URL")
	if len(os.Args) > 1 {
		id = os.Args[1]
	}
	if url == "" {
		url = "redis://localhost:6379"
	}
	options, err := redis.ParseURL(url)
	if err != nil {
		log.Fatal(err)
	}
	client := redis.NewClient(options)
	defer client.Close()
	hub, err := OpenHub(context.Background(), client, "shop")
	if err != nil {
		log.Fatal(err)
	}
	worker := NewWorker(hub, "labels", map[string]Activity{"PrintLabel": printLabel})
	ctx, stop := context.WithCancel(context.Background())
	working := make(chan error)
	go func() { working <- worker.Run(ctx) }()
	if err := ship(context.Background(), hub, id); err != nil {
		log.Fatal(err)
	}
	stop()
	if err := <-working; err != nil {
		log.Fatal(err)
	}
}
