package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"log"
	"math/rand"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	renewEvery  = 3 * time.Second // a lease lasts 10 s
	format      = "2"             // of the hub: the version of docs/protocol.md that this program knows
	taskVersion = 1
)

var finished = map[string]bool{"Completed": true, "Failed": true, "Terminated": true, "Canceled": true}

// Hub is a redurable hub as a program in Go sees it: plain commands, as docs/protocol.md describes them.
type Hub struct {
	redis      *redis.Client
	name       string
	partitions int
}

// OpenHub reads what the hub never changes.
func OpenHub(ctx context.Context, client *redis.Client, name string) (*Hub, error) {
	meta, err := client.HGetAll(ctx, "rd:{"+name+"}:meta").Result()
	if err != nil {
		return nil, err
	}
	partitions, err := strconv.Atoi(meta["partitions"])
	if err != nil {
		return nil, fmt.Errorf("there is no hub %s: start a worker first", name)
	}
	if meta["format"] != format {
		return nil, fmt.Errorf("hub %s has the format %s: this program knows %s", name, meta["format"], format)
	}
	return &Hub{client, name, partitions}, nil
}

func (hub *Hub) base(partition int) string {
	return fmt.Sprintf("rd:{%s:p%d}:", hub.name, partition)
}

// PartitionOf says in which of so many partitions an instance lives.
func PartitionOf(instance string, partitions int) int {
	return int(crc32.ChecksumIEEE([]byte(instance)) % uint32(partitions))
}

func (hub *Hub) baseOf(instance string) string {
	return hub.base(PartitionOf(instance, hub.partitions))
}

// Tell writes to the intake. A field `id` makes it harmless to do it again.
func (hub *Hub) Tell(ctx context.Context, instance string, fields ...any) error {
	values := append([]any{"instance", instance}, fields...)
	return hub.redis.XAdd(ctx, &redis.XAddArgs{Stream: "rd:{" + hub.name + "}:intake", Values: values}).Err()
}

// Finished waits for the end of an instance: its status, and the last event of its history.
func (hub *Hub) Finished(ctx context.Context, instance string) (string, json.RawMessage, error) {
	base := hub.baseOf(instance)
	// First where the feed is, then the status: so no end is missed between the two.
	newest, err := hub.redis.XRevRangeN(ctx, base+"feed", "+", "-", 1).Result()
	if err != nil {
		return "", nil, err
	}
	id := "0-0"
	if len(newest) > 0 {
		id = newest[0].ID
	}
	for {
		status, err := hub.redis.HGet(ctx, base+"i:"+instance, "s").Result()
		if err != nil && !errors.Is(err, redis.Nil) {
			return "", nil, err
		}
		if finished[status] {
			last, err := hub.redis.LIndex(ctx, base+"h:"+instance, -1).Bytes()
			return status, last, err
		}
		news, err := hub.redis.XRead(ctx, &redis.XReadArgs{
			Streams: []string{base + "feed", id}, Count: 100, Block: 2 * time.Second,
		}).Result()
		if err != nil && !errors.Is(err, redis.Nil) {
			return "", nil, err
		}
		for _, stream := range news {
			id = stream.Messages[len(stream.Messages)-1].ID
		}
	}
}

// Task is what lies in a task queue; unknown fields are ignored.
type Task struct {
	Version  int    `json:"v"` // absent when it is 1
	Instance string `json:"instance"`
	Name     string `json:"name"`
	Call     struct {
		Input  json.RawMessage            `json:"input"`
		Args   []json.RawMessage          `json:"args"`
		Kwargs map[string]json.RawMessage `json:"kwargs"`
	} `json:"call"`
	Attempt   int             `json:"attempt"` // absent when it is 1
	Heartbeat json.RawMessage `json:"heartbeat"`
	Held      json.RawMessage `json:"held"`
}

// Failure is an error with the name that retry policies know it by.
type Failure struct{ Type, Message string }

func (failure Failure) Error() string { return failure.Message }

// Activity is one attempt: note keeps details for the next one.
type Activity func(ctx context.Context, task Task, note func(details any) error) (any, error)

// Worker runs the activities of one task queue.
type Worker struct {
	hub        *Hub
	queue      string
	name       string
	activities map[string]Activity
	mutex      sync.Mutex
	held       map[[2]string]bool // stream and id of each task that this worker holds
	running    sync.WaitGroup
}

// NewWorker names the worker: a fresh name for every process.
func NewWorker(hub *Hub, queue string, activities map[string]Activity) *Worker {
	name := fmt.Sprintf("go-%d-%x", os.Getpid(), rand.New(rand.NewSource(time.Now().UnixNano())).Uint64())
	return &Worker{hub: hub, queue: queue, name: name, activities: activities, held: map[[2]string]bool{}}
}

// serve says that the queue is served, so that leases which run out here are seen, and sees that its groups exist.
func (worker *Worker) serve(ctx context.Context, streams []string) error {
	client := worker.hub.redis
	if err := client.SAdd(ctx, "rd:{"+worker.hub.name+"}:queues", worker.queue).Err(); err != nil {
		return err
	}
	for _, stream := range streams {
		err := client.XGroupCreateMkStream(ctx, stream, "w", "0").Err()
		if err != nil && !strings.HasPrefix(err.Error(), "BUSYGROUP") {
			return err
		}
	}
	return nil
}

// Run takes tasks until ctx ends, then lets those end that were begun.
func (worker *Worker) Run(ctx context.Context) error {
	client, streams := worker.hub.redis, []string{}
	for number := 0; number < worker.hub.partitions; number++ {
		streams = append(streams, worker.hub.base(number)+"tasks:"+worker.queue)
	}
	if err := worker.serve(ctx, streams); err != nil {
		return err
	}
	args := &redis.XReadGroupArgs{Group: "w", Consumer: worker.name, Count: 1, Block: time.Second}
	args.Streams = append(args.Streams, streams...)
	for range streams {
		args.Streams = append(args.Streams, ">")
	}
	renewal := time.NewTicker(renewEvery)
	defer renewal.Stop()
	go func() {
		for range renewal.C {
			worker.renew()
		}
	}()
	for ctx.Err() == nil {
		// Count is per stream: up to one task of every partition.
		taken, err := client.XReadGroup(context.Background(), args).Result()
		if err != nil && !errors.Is(err, redis.Nil) {
			log.Println("reads on in a second:", err) // a stream is gone, or the connection was
			time.Sleep(time.Second)
			if err := worker.serve(ctx, streams); err != nil {
				log.Println(err)
			}
		}
		for _, stream := range taken {
			for _, message := range stream.Messages {
				worker.begin(stream.Stream, message)
			}
		}
	}
	worker.running.Wait()
	return nil
}

func (worker *Worker) begin(stream string, message redis.XMessage) {
	place := [2]string{stream, message.ID}
	worker.mutex.Lock()
	worker.held[place] = true
	worker.mutex.Unlock()
	worker.running.Add(1)
	go func() {
		defer worker.running.Done()
		if err := worker.attempt(place, fmt.Sprint(message.Values["t"])); err != nil {
			log.Println("the lease will run out, and another attempt follows:", err)
		}
		worker.mutex.Lock()
		delete(worker.held, place)
		worker.mutex.Unlock()
	}()
}

func (worker *Worker) attempt(place [2]string, body string) error {
	task := Task{Attempt: 1}
	if err := json.Unmarshal([]byte(body), &task); err != nil {
		return err
	}
	run, known := worker.activities[task.Name]
	// A task that is held waits for nobody here: its attempt ran elsewhere, and has run out of time.
	if !known || task.Held != nil || task.Version > taskVersion {
		return worker.answer(place, "refuse")
	}
	note := func(details any) error {
		text, err := json.Marshal(details)
		if err != nil {
			return err
		}
		return worker.answer(place, "heartbeat", "details", text)
	}
	result, err := run(context.Background(), task, note)
	if err != nil {
		failure := Failure{"Error", err.Error()}
		errors.As(err, &failure)
		return worker.answer(place, "fail", "error", failure.Type, "message", failure.Message)
	}
	text, err := json.Marshal(result)
	if err != nil {
		return worker.answer(place, "fail", "error", "InvalidPayload", "message", err.Error(), "final", "1")
	}
	return worker.answer(place, "complete", "result", text)
}

func (worker *Worker) answer(place [2]string, verb string, fields ...any) error {
	answers := strings.TrimSuffix(place[0], "tasks:"+worker.queue) + "answers"
	values := append([]any{verb, place[1], "queue", worker.queue, "worker", worker.name}, fields...)
	return worker.hub.redis.XAdd(context.Background(), &redis.XAddArgs{Stream: answers, Values: values}).Err()
}

// Leases that are not renewed run out, and the attempt counts as crashed.
func (worker *Worker) renew() {
	worker.mutex.Lock()
	defer worker.mutex.Unlock()
	for place := range worker.held {
		claim := &redis.XClaimArgs{
			Stream: place[0], Group: "w", Consumer: worker.name, MinIdle: 0, Messages: []string{place[1]},
		}
		if err := worker.hub.redis.XClaimJustID(context.Background(), claim).Err(); err != nil {
			log.Println("not renewed:", err)
		}
	}
}
