// Ships an order: start it, run its activity here, approve it, wait for its end.
//
//   REDIS_URL=redis://localhost:6379 node ship.mjs order-2

import { createClient } from 'redis';
import { Hub, Worker } from './hub.mjs';

class PrinterJam extends Error {
  name = 'PrinterJam';
}

async function printLabel(task, note) {
  if ((task.attempt ?? 1) === 1) {
    await note({ printed: 'half' });
    throw new PrinterJam('the first one always jams');
  }
  return { printed_by: 'node', to: task.call.input, after: task.heartbeat };
}

const [id = 'order-2'] = process.argv.slice(2);
const redis = createClient({ url: process.env.REDIS_URL ?? 'redis://localhost:6379' });
await redis.on('error', console.error).connect();
const hub = await Hub.open(redis, 'shop');

const worker = new Worker(hub, 'labels', { PrintLabel: printLabel });
const working = worker.run();

await hub.start(id, 'ShipOrder', 'Main Street 1', `start-${id}`);
await hub.raise(id, 'Approval', 'node', `approval-${id}`);
const [status, last] = await hub.finished(id);
console.log(id, status, JSON.stringify(last.result));

worker.stop();
await working;
redis.destroy();
