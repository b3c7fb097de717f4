"""Times `eurus serve`: clients at once against one after another, samples of a request against `eurus generate`, and what is left
in memory after requests of which a third is wrong or abandoned.

    cargo build --release -p eurus-cli
    python benches/serving.py FOLDER [--tokens 96] [--runs 3] [--requests 1000] [--only clients samples memory]

needs nothing but Python. Everything is measured in turn, and medians of ratios are printed: only ratios of one sitting count, since
other programs slow both sides. `eurus generate` is timed as it times itself, without reading the model.
"""

import argparse
import concurrent.futures
import http.client
import json
import pathlib
import random
import re
import socket
import statistics
import subprocess
import tempfile
import time

here = pathlib.Path(__file__).resolve().parent
parser = argparse.ArgumentParser()
parser.add_argument("folder")
parser.add_argument("--tokens", type=int, default=96)
parser.add_argument("--runs", type=int, default=3)
parser.add_argument("--clients", type=int, default=8)
parser.add_argument("--samples", type=int, default=20)
parser.add_argument("--requests", type=int, default=1000)
parser.add_argument("--request-tokens", type=int, default=24, help="longest answer to the requests that memory is measured with")
parser.add_argument("--seed", type=int, default=7)
parser.add_argument("--only", nargs="+", default=["clients", "samples", "memory"])
parser.add_argument("--program", default=str(here.parent / "target/release/eurus"))
options = parser.parse_args()

QUESTIONS = [
    "A baker makes {n} trays of 12 rolls and sells 57 of them. How many rolls are left?",
    "Tom has {n} bags of 3 apples and gives 4 apples to each of 5 friends. How many apples does he have?",
    "Write a short story about {n} birds that fly over the sea in the winter.",
]


def question(number):
    return QUESTIONS[number % len(QUESTIONS)].format(n=number + 7)


class Server:
    def __init__(self, *more):
        command = [options.program, "serve", "--model", options.folder, "--port", "0", *more]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        said = self.process.stdout.readline()
        self.host, self.port = re.search(r"http://([\d.]+):(\d+)", said).groups()

    def post(self, path, body):
        connection = http.client.HTTPConnection(self.host, int(self.port), timeout=600)
        connection.request("POST", path, json.dumps(body), {"content-type": "application/json"})
        answer = connection.getresponse()
        return answer.status, answer.read()

    def ask(self, number, samples=1, tokens=None):
        """New tokens of the answers. They are as long as may be: most texts go on that long at this temperature."""
        body = {
            "messages": [{"role": "user", "content": question(number)}],
            "max_tokens": tokens or options.tokens, "n": samples, "seed": number, "temperature": 1.0,
        }
        status, answer = self.post("/v1/chat/completions", body)
        assert status == 200, answer
        return json.loads(answer)["usage"]["completion_tokens"]

    def metric(self, name):
        connection = http.client.HTTPConnection(self.host, int(self.port), timeout=60)
        connection.request("GET", "/metrics")
        return float(re.search(rf"^{name} (.*)$", connection.getresponse().read().decode(), re.M)[1])

    def resident(self):
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1024

    def end(self):
        self.process.terminate()
        self.process.wait()


def timed(work):
    started = time.perf_counter()
    tokens = work()
    return tokens, time.perf_counter() - started


def clients(server):
    with concurrent.futures.ThreadPoolExecutor(options.clients) as pool:
        numbers = range(options.clients)
        ratios = []
        server.ask(0)
        for _ in range(options.runs):
            tokens, alone = timed(lambda: sum(server.ask(number) for number in numbers))
            same, together = timed(lambda: sum(pool.map(server.ask, numbers)))
            assert tokens == same, "company changes an answer"
            ratios.append(alone / together)
            print(f"  {tokens} tokens: {tokens / alone:.0f}/s one after another, {tokens / together:.0f}/s at once", flush=True)
    print(f"{options.clients} clients at once: {statistics.median(ratios):.2f} times the tokens/s (of {spread(ratios)})")


def samples(server):
    def generate():
        """Tokens a second, as the program counts them: without reading the model."""
        with tempfile.TemporaryDirectory() as folder:
            data = pathlib.Path(folder) / "prompts.jsonl"
            data.write_text(json.dumps({"id": "a", "prompt": question(1)}) + "\n")
            command = [options.program, "generate", "--model", options.folder, "--data", str(data), "--json",
                       "--samples", str(options.samples), "--max-tokens", str(options.tokens), "--out", f"{folder}/out.jsonl"]
            answer = subprocess.run(command, check=True, capture_output=True, text=True)
            return json.loads(answer.stdout)["tokens_per_second"]

    ratios = []
    server.ask(1, options.samples)
    for _ in range(options.runs):
        theirs = generate()
        tokens, seconds = timed(lambda: server.ask(1, options.samples))
        ours = tokens / seconds
        ratios.append(theirs / ours)
        print(f"  {ours:.0f} tokens/s served, {theirs:.0f} by eurus generate", flush=True)
    print(f"n={options.samples}: {statistics.median(ratios):.2f} of the time a token of eurus generate (of {spread(ratios)})")


def abandoned(server, number, stream):
    body = json.dumps({"messages": [{"role": "user", "content": question(number)}], "max_tokens": 400, "n": 2, "stream": stream})
    connection = socket.create_connection((server.host, int(server.port)))
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body)}\r\n\r\n"
    connection.sendall((head + body).encode())
    time.sleep(0.05)
    connection.close()


def wrong(server, number):
    bodies = [
        {"messages": [{"role": "wizard", "content": "x"}]},
        {"model": "other", "messages": [{"role": "user", "content": "x"}]},
        {"messages": [{"role": "user", "content": "word " * 20000}]},
        {"messages": [{"role": "user", "content": "x"}], "tempratur": 1},
        {"prompt": "x"},
    ]
    status, _ = server.post("/v1/chat/completions", bodies[number % len(bodies)])
    assert 400 <= status < 500, status


def memory(server):
    draw = random.Random(options.seed)

    def one(number):
        kind = draw.random()
        if kind < 1 / 6:
            wrong(server, number)
        elif kind < 1 / 3:
            abandoned(server, number, stream=number % 2 == 0)
        else:
            server.ask(number, samples=1 + number % 4, tokens=1 + number % options.request_tokens)

    def rest():
        while server.metric("eurus_rows") > 0 or server.metric("eurus_waiting_requests") > 0:
            time.sleep(0.1)
        time.sleep(1)
        return server.resident()

    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        # What a process keeps of its first requests, such as threads and their stacks, is there before.
        list(pool.map(one, range(100)))
        before = rest()
        for part in range(4):
            count = options.requests // 4
            list(pool.map(one, range(100 + part * count, 100 + (part + 1) * count)))
            print(f"  {server.resident():.0f} MiB after {(part + 1) * count} requests", flush=True)
        after = rest()
    gone = server.metric("eurus_abandoned_requests_total")
    print(f"memory: {before:.1f} MiB before {options.requests} requests, {after:.1f} MiB after "
          f"({100 * (after / before - 1):+.1f} %), {gone:.0f} prompts were abandoned")


def spread(ratios):
    return f"{min(ratios):.2f} to {max(ratios):.2f}"


server = Server()
try:
    for name, measure in [("clients", clients), ("samples", samples), ("memory", memory)]:
        if name in options.only:
            measure(server)
finally:
    server.end()
