// SPDX-License-Identifier: Apache-2.0
// Runs make_opset21.py's models in npm's onnxruntime-node: node make_opset21.mjs MODULES JOBS.json
// JOBS.json, a list of {name, model, dims, x} with base64 data, is replaced by a list of {outputs} or {error}.
import fs from 'node:fs';
import path from 'node:path';
import { createRequire } from 'node:module';

const [modules, jobsFile] = process.argv.slice(2);
const require = createRequire(path.resolve(modules, 'resolve-from-here.js'));
const ort = require('onnxruntime-node');

async function run(job) {
  const session = await ort.InferenceSession.create(new Uint8Array(Buffer.from(job.model, 'base64')), {
    executionProviders: ['cpu'], graphOptimizationLevel: 'disabled', intraOpNumThreads: 1, logSeverityLevel: 4,
  });
  const data = new Float32Array(new Uint8Array(Buffer.from(job.x, 'base64')).buffer);
  const results = await session.run({ x: new ort.Tensor('float32', data, job.dims) });
  return {
    outputs: session.outputNames.map((name) => {
      const { type, dims, data: y } = results[name];
      return { name, type, dims, data: Buffer.from(y.buffer, y.byteOffset, y.byteLength).toString('base64') };
    }),
  };
}

const results = [];
for (const job of JSON.parse(fs.readFileSync(jobsFile, 'utf8'))) {
  results.push(await run(job).catch((e) => ({ error: e.message })));
}
fs.writeFileSync(jobsFile, JSON.stringify(results));
