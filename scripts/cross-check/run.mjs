// Runs a conformance suite (docs/conformance.md) on Dawn, the WebGPU implementation of Chrome.
//
//   node run.mjs validate SUITE   every program through Tint, every entry point into a pipeline; needs no driver
//   node run.mjs run SUITE        every case on the adapter that Dawn finds, against the wanted outputs
//
// The npm package `webgpu` must be installed where WGRAD_NODE_MODULES points. A case that gives no answer in TIMEOUT_S seconds
// (60) counts as failed, and its programs are not tried again: cases run in a child process that can be ended.
// Ends with one line, `summary: {...}`; the exit code is 0 only if nothing failed.

import { fork } from 'node:child_process';
import { openSync, readFileSync, readSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import process from 'node:process';

const [mode, folder] = process.argv.slice(2);
if (!['validate', 'run'].includes(mode) || folder === undefined) {
    console.error('usage: node run.mjs validate|run SUITE');
    process.exit(2);
}
const suite = JSON.parse(readFileSync(path.join(folder, 'cases.json'), 'utf8'));
if (suite.format !== 'wgrad conformance suite' || suite.version !== 1) {
    console.error(`${folder}: not a suite of version 1`);
    process.exit(2);
}
const seconds = Number(process.env.TIMEOUT_S ?? 60);

const nameOf = (test) => `${test.operator} / ${test.name} / ${test.variant}`;
// The programs with the entry points that cases use.
const kernelsOf = (test) => test.dispatches.map((dispatch) => `${dispatch.program} ${dispatch.entry}`);

async function open(options) {
    const modules = process.env.WGRAD_NODE_MODULES ?? path.join(process.cwd(), 'node_modules');
    const { create, globals } = createRequire(path.join(modules, 'x.js'))('webgpu');
    Object.assign(globalThis, globals);
    const gpu = create(options);
    const adapter = await gpu.requestAdapter();
    if (!adapter) throw new Error('Dawn finds no adapter');
    const names = ['maxStorageBuffersPerShaderStage', 'maxComputeWorkgroupStorageSize', 'maxComputeInvocationsPerWorkgroup',
        'maxComputeWorkgroupSizeX', 'maxStorageBufferBindingSize', 'maxBufferSize'];
    const requiredLimits = Object.fromEntries(names.map((name) => [name, adapter.limits[name]]));
    const requiredFeatures = ['subgroups', 'shader-f16'].filter((feature) => adapter.features.has(feature));
    const device = await adapter.requestDevice({ requiredFeatures, requiredLimits });
    // `gpu` must live as long as what it made.
    return { gpu, adapter, device };
}

// naga rejects the directive that WGSL demands.
const codeOf = (program) => program.features.map((feature) => `enable ${feature};\n`).join('') + program.wgsl;

async function compile({ device }, program) {
    device.pushErrorScope('validation');
    const module = device.createShaderModule({ code: codeOf(program) });
    const info = await module.getCompilationInfo();
    const problem = await device.popErrorScope();
    const told = info.messages.filter((message) => message.type === 'error');
    const shift = program.features.length;
    if (told.length > 0) throw new Error(told.map((m) => `line ${m.lineNum - shift}: ${m.message}`).join('; '));
    if (problem) throw new Error(problem.message);
    return module;
}

async function pipelineOf({ device }, module, entryPoint) {
    return await device.createComputePipelineAsync({ layout: 'auto', compute: { module, entryPoint } });
}

async function validate() {
    const dawn = await open(['backend=null', 'enable-dawn-features=allow_unsafe_apis']);
    const entries = new Map();
    for (const kernel of suite.cases.flatMap(kernelsOf)) {
        const [program, entry] = kernel.split(' ');
        entries.set(kernel, { program: Number(program), entry });
    }
    let [failed, beyond, lacking] = [0, 0, 0];
    const modules = new Map();
    for (const [index, program] of suite.programs.entries()) {
        if (unspoken(dawn, program) !== undefined) {
            lacking += 1;
            continue;
        }
        try {
            modules.set(index, await compile(dawn, program));
        } catch (error) {
            failed += 1;
            console.log(`FAILED ${program.file} ${JSON.stringify(program.constants)}: ${error.message}`);
        }
    }
    for (const { program, entry } of entries.values()) {
        if (!modules.has(program)) continue;
        try {
            await pipelineOf(dawn, modules.get(program), entry);
        } catch (error) {
            // Dawn without a device has WebGPU's default limits. Plans offer a kernel that binds more only where they are met; its
            // module was valid.
            if (/number of storage buffers .* exceeds the maximum per-stage limit/.test(error.message)) {
                beyond += 1;
                continue;
            }
            failed += 1;
            console.log(`FAILED ${suite.programs[program].file}, ${entry}: ${error.message}`);
        }
    }
    const counts = { programs: suite.programs.length, entry_points: entries.size, failed, beyond_default_limits: beyond, lacking };
    console.log(`summary: ${JSON.stringify(counts)}`);
    dawn.device.destroy();
    process.exit(failed === 0 ? 0 : 1);
}

// Whether NaN and infinities come through an addition as they are: WGSL does not promise it.
async function keepsSpecials(dawn) {
    const given = new Float32Array([NaN, Infinity, -Infinity, 1]);
    const wgsl = '@group(0) @binding(0) var<storage, read_write> x: array<f32>;'
        + '@compute @workgroup_size(64) fn main(@builtin(local_invocation_index) i: u32) { if i < 4u { x[i] += 0.5; } }';
    const pipeline = await pipelineOf(dawn, await compile(dawn, { features: [], wgsl }), 'main');
    const want = new Float64Array([NaN, Infinity, -Infinity, 1.5]);
    const dispatch = { entry: 'main', workgroups: [1, 1, 1], bindings: [{ binding: 0, buffer: 0, offset: 0, bytes: 16 }] };
    const test = { buffers: [{ bytes: 16, data: given }], dispatches: [dispatch], outputs: [{ buffer: 0, type: 'f32', want }] };
    return await runCase(dawn, () => pipeline, test) === null;
}

// A feature of the language that a program uses and the compiler does not know, or undefined.
function unspoken({ gpu }, program) {
    return program.language_features.find((feature) => !gpu.wgslLanguageFeatures.has(feature));
}

// What an adapter lacks for a case, or null.
function lacks(dawn, specials, test) {
    if (test.special && !specials) return 'NaN and infinities';
    for (const { program: number, needs } of test.dispatches) {
        const { limits, features, info } = dawn.adapter;
        const program = suite.programs[number];
        const absent = program.features.find((feature) => !features.has(feature));
        if (absent !== undefined) return absent;
        const word = unspoken(dawn, program);
        if (word !== undefined) return word;
        const size = program.subgroup_size;
        if (size !== null && (info.subgroupMinSize !== size || info.subgroupMaxSize !== size)) return `subgroups of ${size}`;
        if (needs.storage_buffers > limits.maxStorageBuffersPerShaderStage) return `${needs.storage_buffers} storage buffers`;
        if (needs.workgroup_bytes > limits.maxComputeWorkgroupStorageSize) return `${needs.workgroup_bytes} bytes of workgroup memory`;
        if (needs.invocations > limits.maxComputeInvocationsPerWorkgroup) return `${needs.invocations} invocations`;
    }
    return null;
}

const data = openSync(path.join(folder, 'data.bin'));
function read(place) {
    // What is at hand already.
    if (ArrayBuffer.isView(place)) return place;
    const { offset, bytes } = place;
    const array = new Uint8Array(bytes);
    readSync(data, array, 0, bytes, offset);
    return array;
}

// What is wrong with an output, or null.
function compare(output, got) {
    const want = read(output.want);
    if (output.type === 'f32') {
        return compareFloats(new Float32Array(got), new Float64Array(want.buffer));
    }
    const [a, b] = output.type === 'u32' ? [new Uint32Array(got), new Uint32Array(want.buffer)] : [new Uint8Array(got), want];
    const wrong = b.findIndex((value, i) => a[i] !== value);
    return wrong < 0 ? null : `element ${wrong}: got ${a[wrong]}, wanted ${b[wrong]}`;
}

function compareFloats(got, want) {
    const rounding = 1e-12;
    const finite = want.filter(Number.isFinite);
    const largest = finite.reduce((most, value) => Math.max(most, Math.abs(value)), rounding);
    let [count, first, error, norm] = [0, -1, 0, 0];
    for (let i = 0; i < want.length; i++) {
        const off = Object.is(got[i], want[i]) || got[i] === want[i] ? 0 : Math.abs(got[i] - want[i]);
        const wrong = Number.isNaN(want[i]) ? !Number.isNaN(got[i]) : !(off <= suite.tolerance.of_largest * largest);
        if (wrong && count++ === 0) first = i;
        if (Number.isFinite(want[i])) {
            error += off * off;
            norm += want[i] * want[i];
        }
    }
    const relative = Math.sqrt(error) / Math.max(Math.sqrt(norm), rounding);
    if (count > 0) return `${count} of ${want.length} elements off, element ${first}: got ${got[first]}, wanted ${want[first]}`;
    return relative <= suite.tolerance.relative_l2 ? null : `relative L2 error ${relative.toExponential(1)}`;
}

// A texture of four floats a texel: a row of zeros, then a buffer's contents in whole rows and a rest.
function fill(device, encoder, { texels, rows }, buffer) {
    const [width, bytesPerRow] = [256, 4096];
    const usage = GPUTextureUsage.STORAGE_BINDING | GPUTextureUsage.COPY_DST;
    const texture = device.createTexture({ size: [width, rows], format: 'rgba32float', usage });
    const [whole, rest] = [Math.floor(texels / width), texels % width];
    for (const [row, size] of [[0, [width, whole]], [whole, [rest, 1]]]) {
        if (size[0] === 0 || size[1] === 0) continue;
        encoder.copyBufferToTexture({ buffer, offset: row * bytesPerRow, bytesPerRow }, { texture, origin: [0, 1 + row] }, size);
    }
    return texture;
}

async function runCase(dawn, pipelines, test) {
    const { device } = dawn;
    const made = [];
    const buffer = (size, contents, usage) => {
        const one = device.createBuffer({ size: Math.ceil(size / 16) * 16, usage });
        made.push(one);
        if (contents) device.queue.writeBuffer(one, 0, contents);
        return one;
    };
    const storage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST | GPUBufferUsage.COPY_SRC;
    const poison = (bytes) => new Uint32Array(bytes / 4).fill(suite.poison);
    const buffers = test.buffers.map(({ bytes, data }) => buffer(bytes, data ? read(data) : poison(bytes), storage));
    device.pushErrorScope('validation');
    const encoder = device.createCommandEncoder();
    for (const dispatch of test.dispatches) {
        const pipeline = await pipelines(dispatch);
        const entries = dispatch.bindings.map(({ binding, buffer: number, offset, bytes }) => (
            { binding, resource: { buffer: buffers[number], offset, size: bytes } }));
        if (dispatch.uniform) {
            const words = new Uint32Array(dispatch.uniform.words);
            const uniform = buffer(words.byteLength, words, GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST);
            entries.push({ binding: dispatch.uniform.binding, resource: { buffer: uniform, size: words.byteLength } });
        }
        for (const filled of dispatch.textures ?? []) {
            const texture = fill(device, encoder, filled, buffers[filled.buffer]);
            made.push(texture);
            entries.push({ binding: filled.binding, resource: texture.createView() });
        }
        const pass = encoder.beginComputePass();
        pass.setPipeline(pipeline);
        pass.setBindGroup(0, device.createBindGroup({ layout: pipeline.getBindGroupLayout(0), entries }));
        pass.dispatchWorkgroups(...dispatch.workgroups);
        pass.end();
    }
    const readings = test.outputs.map((output) => {
        const size = test.buffers[output.buffer].bytes;
        const reading = buffer(size, null, GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST);
        encoder.copyBufferToBuffer(buffers[output.buffer], 0, reading, 0, size);
        return { output, reading };
    });
    device.queue.submit([encoder.finish()]);
    const problem = await device.popErrorScope();
    if (problem) return problem.message;
    for (const [number, { output, reading }] of readings.entries()) {
        await reading.mapAsync(GPUMapMode.READ);
        const wrong = compare(output, reading.getMappedRange().slice(0));
        if (wrong) return `output ${number}: ${wrong}`;
    }
    made.forEach((one) => one.destroy());
    return null;
}

// The child: runs the cases that it is told, one after the other.
async function serve() {
    const dawn = await open([]);
    const { vendor, architecture, device, description, subgroupMinSize, subgroupMaxSize } = dawn.adapter.info;
    const specials = await keepsSpecials(dawn);
    process.send({ adapter: { vendor, architecture, device, description, subgroupMinSize, subgroupMaxSize } });
    const [modules, known] = [new Map(), new Map()];
    const pipelines = async ({ program, entry }) => {
        const key = `${program} ${entry}`;
        if (!modules.has(program)) modules.set(program, await compile(dawn, suite.programs[program]));
        if (!known.has(key)) known.set(key, await pipelineOf(dawn, modules.get(program), entry));
        return known.get(key);
    };
    process.on('message', async (number) => {
        const test = suite.cases[number];
        const lack = lacks(dawn, specials, test);
        if (lack !== null) {
            process.send({ number, lack });
            return;
        }
        try {
            process.send({ number, wrong: await runCase(dawn, pipelines, test) });
        } catch (error) {
            process.send({ number, wrong: error.message });
        }
    });
}

function child() {
    const one = fork(process.argv[1], process.argv.slice(2), { env: { ...process.env, WGRAD_CHILD: '1' } });
    let waiting = null;
    one.on('message', (message) => waiting?.resolve(message));
    one.on('exit', (code, signal) => waiting?.resolve({ died: signal ?? code }));
    const answer = () => new Promise((resolve) => { waiting = { resolve }; });
    const ask = async (number) => {
        const answered = answer();
        if (number !== null) one.send(number);
        let timer;
        const late = new Promise((resolve) => { timer = setTimeout(() => resolve({ late: true }), seconds * 1000); });
        const message = await Promise.race([answered, late]);
        clearTimeout(timer);
        return message;
    };
    return { ask, end: () => one.kill('SIGKILL') };
}

async function run() {
    const [failures, lacking, bad] = [[], new Map(), new Set()];
    let [passed, current] = [0, null];
    for (const [number, test] of suite.cases.entries()) {
        const known = kernelsOf(test).find((kernel) => bad.has(kernel));
        if (known !== undefined) {
            failures.push(`${nameOf(test)}: not tried, ${known} gave no answer before`);
            continue;
        }
        if (current === null) {
            current = child();
            const hello = await current.ask(null);
            if (!hello.adapter) {
                console.error(`Dawn did not start: ${JSON.stringify(hello)}`);
                process.exit(1);
            }
            if (number === 0) console.log(`adapter: ${JSON.stringify(hello.adapter)}`);
        }
        const begun = performance.now();
        const answer = await current.ask(number);
        const took = (performance.now() - begun) / 1000;
        if (took > 5) console.log(`slow: ${nameOf(test)} took ${took.toFixed(1)} s`);
        if (answer.late || answer.died !== undefined) {
            current.end();
            current = null;
            kernelsOf(test).forEach((kernel) => bad.add(kernel));
            const why = answer.late ? `no answer in ${seconds} s` : `the process died (${answer.died})`;
            failures.push(`${nameOf(test)}: ${why}`);
        } else if (answer.lack) {
            lacking.set(answer.lack, (lacking.get(answer.lack) ?? 0) + 1);
        } else if (answer.wrong) {
            failures.push(`${nameOf(test)}: ${answer.wrong}`);
        } else {
            passed += 1;
        }
    }
    current?.end();
    failures.forEach((failure) => console.log(`FAILED ${failure}`));
    const lacked = Object.fromEntries(lacking);
    console.log(`summary: ${JSON.stringify({ cases: suite.cases.length, passed, failed: failures.length, lacking: lacked })}`);
    process.exit(failures.length === 0 ? 0 : 1);
}

if (mode === 'validate') {
    await validate();
} else if (process.env.WGRAD_CHILD === '1') {
    await serve();
} else {
    await run();
}
