#!/usr/bin/env python3
"""The workloads of `wgrad bench` in PyTorch, as rows of JSON with the same keys.

    reference         a training step of the reference network at batch 64: forward, cross-entropy, backward, Adam
    reference/conv2   its heaviest convolution (3x3, 32 -> 64 channels, 13x13, batch 64): forward, grad_input, grad_weight

Eager, compiled (torch.compile) and, on CUDA, as CUDA graphs; channels first and channels last; on CUDA with and without TF32.
The batch lies on the device from the start: gathering and normalising it, which wgrad's step contains, is left out here.

    python benches/peers/pytorch.py                                   everything that this machine can do
    python benches/peers/pytorch.py --mode eager --layout first --seconds 2
"""

import argparse
import json
import platform
import statistics
import sys
import time

try:
    import torch
    from torch import nn
except ImportError:
    sys.exit("PyTorch is not installed for this Python; `python -m pip install torch` installs it")

BATCH = 64
MODES = ["eager", "compile", "graphs"]
LAYOUTS = ["first", "last"]
# Multiply-adds count two, as in wgrad: one step of the reference network, and each direction of conv2.
CONV2_FLOPS = 2 * BATCH * 11 * 11 * 64 * 3 * 3 * 32


class Reference(nn.Module):
    """Three convolutions, two max pools, two dense layers."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(1, 32, 3), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(64, 64, 3), nn.ReLU(), nn.Flatten(),
            nn.Linear(576, 64), nn.ReLU(), nn.Linear(64, 10),
        )

    def forward(self, x):
        return self.layers(x)


def wait(device):
    if device.type == "cuda":
        torch.cuda.synchronize()


def measure(device, run, seconds):
    """Median and spread of one run in milliseconds: warmed up, several runs between two looks at the clock."""
    for _ in range(5):
        run()
    wait(device)
    started = time.perf_counter()
    run()
    wait(device)
    together = max(1, min(500, int(seconds / 12 / max(time.perf_counter() - started, 1e-7))))
    times, begun = [], time.perf_counter()
    while len(times) < 3 or time.perf_counter() - begun < seconds:
        started = time.perf_counter()
        for _ in range(together):
            run()
        wait(device)
        times.append((time.perf_counter() - started) / together * 1e3)
    median = statistics.median(times)
    quartiles = statistics.quantiles(times, n=4)
    return median, 100 * (quartiles[2] - quartiles[0]) / median


def graphed(run):
    """The same work as a CUDA graph, captured after a warm-up on a stream of its own."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            run()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        run()
    return graph.replay


def step(device, mode, layout):
    memory = torch.channels_last if layout == "last" else torch.contiguous_format
    torch.manual_seed(0)
    net = Reference().to(device).to(memory_format=memory)
    x = torch.rand(BATCH, 1, 28, 28, device=device).contiguous(memory_format=memory)
    y = torch.randint(0, 10, (BATCH,), device=device)
    adam = torch.optim.Adam(net.parameters(), lr=1e-3, capturable=mode == "graphs")
    model = torch.compile(net) if mode == "compile" else net

    def run():
        adam.zero_grad(set_to_none=True)
        nn.functional.cross_entropy(model(x), y).backward()
        adam.step()

    return graphed(run) if mode == "graphs" else run


def conv2(device, mode, layout, direction):
    memory = torch.channels_last if layout == "last" else torch.contiguous_format
    torch.manual_seed(0)
    x = torch.rand(BATCH, 32, 13, 13, device=device).contiguous(memory_format=memory)
    w = torch.rand(64, 32, 3, 3, device=device).contiguous(memory_format=memory)
    b = torch.rand(64, device=device)
    dy = torch.rand(BATCH, 64, 11, 11, device=device).contiguous(memory_format=memory)

    def backward(mask):
        sizes = ([64], [1, 1], [0, 0], [1, 1], False, [0, 0], 1)
        return torch.ops.aten.convolution_backward(dy, x, w, *sizes, mask)

    work = {
        "forward": lambda: nn.functional.conv2d(x, w, b),
        "grad_input": lambda: backward([True, False, False]),
        "grad_weight": lambda: backward([False, True, False]),
    }[direction]
    if mode == "compile":
        work = torch.compile(work)

    def run():
        with torch.no_grad():
            work()

    return graphed(run) if mode == "graphs" else run


def device_name(device):
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def tell(device, variant, workload, direction, measured, flops, step_of=None):
    ms, spread = measured
    row = {
        "workload": workload, "direction": direction, "variant": variant, "device": device_name(device),
        "ms": ms, "gflops": flops / ms / 1e6 if flops else None, "gb_s": None, "percent_of_roof": None,
        "spread_percent": spread, "backend": device.type, "peer": f"PyTorch {torch.__version__}",
        "threads": torch.get_num_threads(),
    }
    if step_of:
        row |= {"ms_per_step": ms, "images_per_second": step_of / ms * 1e3, "batch": step_of}
    print(json.dumps(row), flush=True)


def main():
    parser = argparse.ArgumentParser(description="The workloads of `wgrad bench` in PyTorch, as rows of JSON.")
    parser.add_argument("--mode", choices=MODES, action="append", help="eager, compile, graphs; all that there are")
    parser.add_argument("--layout", choices=LAYOUTS, action="append", help="channels first or last; both")
    parser.add_argument("--workload", choices=["reference", "reference/conv2"], action="append", help="one of the two; both")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu", help="cuda or cpu")
    parser.add_argument("--seconds", type=float, default=1.0, help="seconds for each row")
    parser.add_argument("--threads", type=int, help="threads on the processor, instead of one for each core")
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    device = torch.device(options.device)
    cuda = device.type == "cuda"
    for precision in ["float32", "tf32"] if cuda else ["float32"]:
        torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = precision == "tf32"
        for mode in options.mode or MODES:
            if mode == "graphs" and not cuda:
                continue
            for layout in options.layout or LAYOUTS:
                variant = f"pytorch {mode}, channels {layout}" + (f", {precision}" if cuda else "")
                one(device, mode, layout, variant, options)


def one(device, mode, layout, variant, options):
    """All rows of one way to run; one that this machine cannot do is told on stderr."""
    torch._dynamo.reset()
    try:
        if not options.workload or "reference" in options.workload:
            measured = measure(device, step(device, mode, layout), options.seconds)
            tell(device, variant, "reference", "step", measured, None, BATCH)
        if not options.workload or "reference/conv2" in options.workload:
            for direction in ["forward", "grad_input", "grad_weight"]:
                measured = measure(device, conv2(device, mode, layout, direction), options.seconds)
                tell(device, variant, "reference/conv2", direction, measured, CONV2_FLOPS)
    except Exception as error:  # What a compiler or a driver refuses must not end the other ways.
        print(f"not run: {variant}: {str(error).strip().splitlines()[0]}", file=sys.stderr)


if __name__ == "__main__":
    main()
