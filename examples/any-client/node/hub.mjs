// A redurable hub as a program in Node.js sees it: plain commands, as docs/protocol.md describes them.

import { randomUUID } from 'node:crypto';

const FINISHED = new Set(['Completed', 'Failed', 'Terminated', 'Canceled']);
const RENEW_MS = 3_000; // a lease lasts 10 s
const FORMAT = '2'; // of the hub: the version of docs/protocol.md that this program knows
const TASK_VERSION = 1;

/** CRC-32 as zlib has it. */
export function crc32(text) {
  let crc = ~0;
  for (const byte of Buffer.from(text)) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  }
  return ~crc >>> 0;
}

export class Hub {
  static async open(redis, name) {
    const { format, partitions } = await redis.hGetAll(`rd:{${name}}:meta`);
    if (!partitions) throw new Error(`there is no hub ${name}: start a worker first`);
    if (format !== FORMAT) throw new Error(`hub ${name} has the format ${format}: this program knows ${FORMAT}`);
    return new Hub(redis, name, Number(partitions));
  }

  constructor(redis, name, partitions) {
    Object.assign(this, { redis, name, partitions });
  }

  /** The beginning of all keys of a partition, and of the one that an instance lives in. */
  base(partition) {
    return `rd:{${this.name}:p${partition}}:`;
  }

  baseOf(instance) {
    return this.base(crc32(instance) % this.partitions);
  }

  /** A connection of its own, for what blocks. It comes back by itself; whoever hears no errors is ended by one. */
  connection() {
    return this.redis.duplicate().on('error', console.error).connect();
  }

  /** Write to the intake. An `id` makes it harmless to do it again. */
  tell(instance, fields) {
    return this.redis.xAdd(`rd:{${this.name}}:intake`, '*', { instance, ...fields });
  }

  start(instance, orchestrator, input, id = randomUUID()) {
    return this.tell(instance, { start: orchestrator, input: JSON.stringify(input), id });
  }

  raise(instance, event, data, id = randomUUID()) {
    return this.tell(instance, { event, data: JSON.stringify(data), id });
  }

  status(instance) {
    return this.redis.hGet(`${this.baseOf(instance)}i:${instance}`, 's');
  }

  /** Wait for the end of an instance: its status, and the last event of its history. */
  async finished(instance) {
    const base = this.baseOf(instance);
    const feed = await this.connection();
    try {
      // First where the feed is, then the status: so no end is missed between the two.
      const [newest] = await feed.xRevRange(`${base}feed`, '+', '-', { COUNT: 1 });
      let id = newest?.id ?? '0-0';
      let status = await this.status(instance);
      while (!FINISHED.has(status)) {
        const news = await feed.xRead({ key: `${base}feed`, id }, { COUNT: 100, BLOCK: 5_000 });
        id = news?.[0].messages.at(-1).id ?? id;
        status = await this.status(instance);
      }
      return [status, JSON.parse(await this.redis.lIndex(`${base}h:${instance}`, -1))];
    } finally {
      feed.destroy();
    }
  }
}

/** Runs activities: `functions` maps their names to (task, note) => result. */
export class Worker {
  constructor(hub, queue, functions) {
    Object.assign(this, { hub, queue, functions, held: new Map() });
    this.name = `node-${process.pid}-${randomUUID()}`; // a fresh name for every process
  }

  /** Say that the queue is served, so that leases which run out here are seen, and see that its groups exist. */
  async serve(keys) {
    const { hub, queue } = this;
    await hub.redis.sAdd(`rd:{${hub.name}}:queues`, queue);
    for (const key of keys) {
      await hub.redis.xGroupCreate(key, 'w', '0', { MKSTREAM: true }).catch((error) => {
        if (!error.message.startsWith('BUSYGROUP')) throw error;
      });
    }
  }

  /** Up to one task of every partition: COUNT is per stream. */
  async take(keys) {
    try {
      const streams = keys.map((key) => ({ key, id: '>' }));
      return (await this.reader.xReadGroup('w', this.name, streams, { COUNT: 1, BLOCK: 1_000 })) ?? [];
    } catch (error) {
      console.error('reads on in a second:', error.message); // a stream is gone, or the connection was
      await new Promise((done) => setTimeout(done, 1_000));
      await this.serve(keys).catch(console.error);
      return [];
    }
  }

  async run() {
    const { hub, queue } = this;
    const keys = Array.from({ length: hub.partitions }, (_, number) => `${hub.base(number)}tasks:${queue}`);
    await this.serve(keys);
    this.reader = await hub.connection();
    const renewal = setInterval(() => this.renew().catch(console.error), RENEW_MS);
    while (!this.stopping) {
      for (const { name, messages } of await this.take(keys)) {
        for (const { id, message } of messages) this.begin(name, id, JSON.parse(message.t));
      }
    }
    // What was begun may end; what did not end in time is handed back.
    await Promise.race([Promise.all(this.held.values()), new Promise((done) => setTimeout(done, 5_000).unref())]);
    for (const { key, id } of this.held.keys()) await this.answer(key, id, 'hand-back');
    clearInterval(renewal);
    this.reader.destroy();
  }

  stop() {
    this.stopping = true;
  }

  begin(key, id, task) {
    const place = { key, id };
    const failed = (error) => console.error('the lease will run out, and another attempt follows:', error);
    this.held.set(place, this.attempt(place, task).catch(failed).finally(() => this.held.delete(place)));
  }

  async attempt({ key, id }, task) {
    const run = this.functions[task.name];
    // A task that is `held` waits for nobody here: its attempt ran elsewhere, and has run out of time.
    if (!run || task.held || (task.v ?? 1) > TASK_VERSION) return this.answer(key, id, 'refuse');
    const note = (details) => this.answer(key, id, 'heartbeat', { details: JSON.stringify(details) });
    try {
      const result = await run(task, note);
      await this.answer(key, id, 'complete', { result: JSON.stringify(result ?? null) });
    } catch (error) {
      const { name, message, stack } = error instanceof Error ? error : new Error(String(error));
      await this.answer(key, id, 'fail', { error: name, message, stack });
    }
  }

  answer(key, id, verb, fields = {}) {
    const answers = key.slice(0, -`tasks:${this.queue}`.length) + 'answers';
    return this.hub.redis.xAdd(answers, '*', { [verb]: id, queue: this.queue, worker: this.name, ...fields });
  }

  /** Leases that are not renewed run out, and the attempt counts as crashed. */
  async renew() {
    for (const { key, id } of this.held.keys()) {
      await this.hub.redis.xClaimJustId(key, 'w', this.name, 0, [id]);
    }
  }
}
