// SPDX-License-Identifier: Apache-2.0
// Runs models in npm's onnxruntime-node for make_golden.py:
//   node run_onnxruntime.mjs MODULES JOBS.json
// MODULES: the folder that holds node_modules/onnxruntime-node. JOBS.json: a list of {model, input,
// output, batch, level}; input and output are float32 .npy files of this machine's making.
import fs from 'node:fs';
import path from 'node:path';
import { createRequire } from 'node:module';

const [modules, jobsFile] = process.argv.slice(2);
const require = createRequire(path.resolve(modules, 'resolve-from-here.js'));
const ort = require('onnxruntime-node');

/** {shape, data} of a little-endian, C-order float32 .npy file. */
function readNpy(file) {
  const bytes = fs.readFileSync(file);
  const start = 10 + bytes.readUInt16LE(8);
  const header = bytes.toString('latin1', 10, start);
  if (!/'descr': '<f4'/.test(header) || !/'fortran_order': False/.test(header)) {
    throw new Error(`${file}: not a C-order float32 array`);
  }
  const dims = /'shape': \(([^)]*)\)/.exec(header)[1].split(',');
  const shape = dims.filter((s) => s.trim()).map(Number);
  // Copied, because the data need not be aligned for a Float32Array inside the file.
  return { shape, data: new Float32Array(new Uint8Array(bytes.subarray(start)).buffer) };
}

function writeNpy(file, shape, data) {
  let header = `{'descr': '<f4', 'fortran_order': False, 'shape': (${shape.join(', ')}), }`;
  header = header.padEnd(Math.ceil((header.length + 11) / 64) * 64 - 11, ' ') + '\n';
  const head = Buffer.alloc(10);
  head.write('\x93NUMPY\x01\x00', 'latin1');
  head.writeUInt16LE(header.length, 8);
  fs.writeFileSync(file, Buffer.concat([head, Buffer.from(header, 'latin1'),
    Buffer.from(data.buffer, data.byteOffset, data.byteLength)]));
}

for (const job of JSON.parse(fs.readFileSync(jobsFile, 'utf8'))) {
  const session = await ort.InferenceSession.create(job.model, {
    executionProviders: ['cpu'], graphOptimizationLevel: job.level,
    intraOpNumThreads: 1, interOpNumThreads: 1,
  });
  const { shape, data } = readNpy(job.input);
  const stride = data.length / shape[0];
  const parts = [];
  let width = 0;
  for (let i = 0; i < shape[0]; i += job.batch) {
    const n = Math.min(job.batch, shape[0] - i);
    const x = new ort.Tensor('float32', data.slice(i * stride, (i + n) * stride),
      [n, ...shape.slice(1)]);
    const y = (await session.run({ [session.inputNames[0]]: x }))[session.outputNames[0]];
    width = y.dims[1];
    parts.push(Float32Array.from(y.data));
  }
  const out = new Float32Array(shape[0] * width);
  let at = 0;
  for (const p of parts) { out.set(p, at); at += p.length; }
  writeNpy(job.output, [shape[0], width], out);
}
console.log(require('onnxruntime-node/package.json').version);
