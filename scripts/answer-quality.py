#!/usr/bin/env python3
"""How often a running node's answers say what they must, by knowledge/handbook.answers.jsonl.

usage: scripts/answer-quality.py URL [--seeds N] [--show] [FIELD=VALUE...]
Each FIELD=VALUE goes into every request, such as temperature=0 or repeat_penalty=1.1. Prints one line.
"""

import json
import re
import statistics
import sys
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

QUESTIONS = Path(__file__).parent.parent / "knowledge/handbook.answers.jsonl"


def ask(url, question, seed, fields):
    body = {"messages": [{"role": "user", "content": question}], "seed": seed, **fields}
    request = urllib.request.Request(
        f"{url}/v1/chat/completions", json.dumps(body).encode(), {"content-type": "application/json"}
    )
    # A proxy is for the way out; this talks to this machine only.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=600) as reply:
        reply = json.load(reply)
    return reply["choices"][0]["message"]["content"], reply["usage"]["completion_tokens"], reply["choices"][0]["finish_reason"]


def main():
    arguments = sys.argv[1:]
    url = arguments.pop(0).rstrip("/")
    seeds = int(arguments[arguments.index("--seeds") + 1]) if "--seeds" in arguments else 1
    fields = dict(word.split("=", 1) for word in arguments if "=" in word)
    fields = {"max_tokens": 200} | {name: json.loads(value) for name, value in fields.items()}
    questions = [json.loads(line) for line in QUESTIONS.read_text().splitlines()]
    jobs = [(question, seed) for question in questions for seed in range(1, seeds + 1)]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda job: ask(url, job[0]["question"], job[1], fields), jobs))
    right = [bool(re.search(job[0]["expect"], answer[0], re.I | re.S)) for job, answer in zip(jobs, answers)]
    if "--show" in arguments:
        for (question, _), (text, _, _), good in zip(jobs, answers, right):
            print("+" if good else "-", question["question"], "=>", text.replace("\n", " ")[:300])
    cut = sum(finish == "length" for _, _, finish in answers)
    median = statistics.median(tokens for _, tokens, _ in answers)
    print(f"{sum(right)} of {len(jobs)} right ({100 * sum(right) / len(jobs):.0f} %), median {median:.0f} tokens, {cut} cut off")


main()
