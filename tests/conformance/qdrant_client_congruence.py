"""Asks the same of the store and of the official client's in-memory engine, and compares.

The in-memory engine is Qdrant's own model of its server in plain Python. Every random choice comes
from one seed (GAIA_SEED), which a failure prints.
"""

import os
import random
import sys
import uuid

from qdrant_client import QdrantClient, models

SEED = int(os.environ.get("GAIA_SEED", "20261121"))
POINTS = 300
ROUNDS = 40
SIZE = 8
WORDS = ["red", "green", "blue", "long winding road", "short road"]

rng = random.Random(SEED)
failures = []
checks = 0


def vector():
    return [round(rng.uniform(-1, 1), 4) for _ in range(SIZE)]


def sparse():
    indices = sorted(rng.sample(range(40), rng.randint(1, 8)))
    return models.SparseVector(indices=indices, values=[round(rng.uniform(0.1, 2), 4) for _ in indices])


def payload(n):
    value = {"n": n, "price": round(rng.uniform(0, 100), 2), "word": rng.choice(WORDS[:3]), "even": n % 2 == 0}
    if n % 3:
        value["tags"] = rng.sample(["a", "b", "c", "d"], rng.randint(0, 3))
    if n % 5 == 0:
        value["place"] = {"lat": round(rng.uniform(40, 60), 3), "lon": round(rng.uniform(0, 20), 3)}
    if n % 7 == 0:
        value["nested"] = {"items": [{"k": rng.randint(0, 3), "v": rng.randint(0, 3)} for _ in range(2)]}
    return value


def point_id(n):
    return n if n % 4 else str(uuid.UUID(int=n))


def condition():
    kind = rng.randint(0, 8)
    if kind == 0:
        return models.FieldCondition(key="word", match=models.MatchValue(value=rng.choice(WORDS[:3])))
    if kind == 1:
        low = rng.uniform(0, 90)
        return models.FieldCondition(key="price", range=models.Range(gte=low, lt=low + 30))
    if kind == 2:
        return models.FieldCondition(key="tags", match=models.MatchAny(any=rng.sample(["a", "b", "c", "d"], 2)))
    if kind == 3:
        return models.HasIdCondition(has_id=[point_id(rng.randint(0, POINTS)) for _ in range(40)])
    if kind == 4:
        return models.IsEmptyCondition(is_empty=models.PayloadField(key="tags"))
    if kind == 5:
        centre = models.GeoPoint(lat=50.0, lon=10.0)
        return models.FieldCondition(key="place", geo_radius=models.GeoRadius(center=centre, radius=600_000))
    if kind == 6:
        inner = models.Filter(must=[
            models.FieldCondition(key="k", match=models.MatchValue(value=1)),
            models.FieldCondition(key="v", range=models.Range(gte=1)),
        ])
        return models.NestedCondition(nested=models.Nested(key="nested.items", filter=inner))
    if kind == 7:
        return models.FieldCondition(key="tags", values_count=models.ValuesCount(gte=2))
    return models.FieldCondition(key="even", match=models.MatchValue(value=rng.random() < 0.5))


def some_filter():
    parts = {name: [condition() for _ in range(rng.randint(1, 2))] for name in ("must", "should", "must_not") if rng.random() < 0.5}
    return models.Filter(**parts) if parts else None


def close(left, right):
    """Equal but for the rounding of 32-bit floats."""
    if isinstance(left, models.SparseVector):
        left, right = left.model_dump(), right.model_dump()
    if isinstance(left, float) and isinstance(right, (float, int)):
        return abs(left - right) < 1e-3 * max(1.0, abs(right))
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(close(left[key], right[key]) for key in left)
    if isinstance(left, (list, tuple)) and isinstance(right, (list, tuple)):
        return len(left) == len(right) and all(map(close, left, right))
    return left == right


def compare(what, left, right):
    global checks
    checks += 1
    if not close(left, right):
        failures.append(f"{what}\n  store:  {str(left)[:400]}\n  client: {str(right)[:400]}")


def scored(points):
    """Scores by id, without the last place: a tie there may fall to either of two points."""
    return {str(point.id): point.score for point in points[:-1]}


def scores(points):
    return [point.score for point in points]


def both(call):
    return [call(client) for client in (store, local)]


def build(client, points):
    client.create_collection(
        "c",
        vectors_config={
            "cosine": models.VectorParams(size=SIZE, distance=models.Distance.COSINE),
            "euclid": models.VectorParams(size=SIZE, distance=models.Distance.EUCLID),
            "dot": models.VectorParams(size=SIZE, distance=models.Distance.DOT),
            "manhattan": models.VectorParams(size=SIZE, distance=models.Distance.MANHATTAN),
        },
        sparse_vectors_config={"words": models.SparseVectorParams()},
    )
    client.upsert("c", points[: POINTS // 2], wait=True)
    client.upload_points("c", points[POINTS // 2 :], wait=True, batch_size=37)


def reads(round_number):
    chosen = some_filter()
    left, right = both(lambda client: client.count("c", count_filter=chosen, exact=True).count)
    compare(f"count {chosen}", left, right)
    left, right = both(lambda client: [str(r.id) for r in client.scroll("c", scroll_filter=chosen, limit=400)[0]])
    compare(f"scroll {chosen}", sorted(left), sorted(right))
    for name in ("cosine", "euclid", "dot", "manhattan"):
        query = vector()
        left, right = both(lambda client: client.query_points("c", query=query, using=name, query_filter=chosen, limit=10).points)
        compare(f"nearest {name}", scores(left), scores(right))
        compare(f"nearest {name}, ids", scored(left), scored(right))
    words = sparse()
    left, right = both(lambda client: client.query_points("c", query=words, using="words", query_filter=chosen, limit=10).points)
    compare("sparse", scores(left), scores(right))
    examples = rng.sample([p for p in alive], 4)
    for strategy in models.RecommendStrategy:
        ask = models.RecommendQuery(recommend=models.RecommendInput(positive=examples[:2], negative=examples[2:], strategy=strategy))
        left, right = both(lambda client: client.query_points("c", query=ask, using="cosine", limit=10).points)
        compare(f"recommend {strategy}", scores(left), scores(right))
    pairs = [models.ContextPair(positive=examples[1], negative=examples[2])]
    ask = models.DiscoverQuery(discover=models.DiscoverInput(target=examples[0], context=pairs))
    left, right = both(lambda client: client.query_points("c", query=ask, using="dot", limit=10).points)
    compare("discover", scores(left), scores(right))
    first, second = vector(), vector()
    stages = [models.Prefetch(query=first, using="cosine", limit=20), models.Prefetch(query=second, using="dot", limit=20)]
    for fusion in (models.Fusion.RRF, models.Fusion.DBSF):
        left, right = both(lambda client: client.query_points("c", prefetch=stages, query=models.FusionQuery(fusion=fusion), limit=10).points)
        compare(f"fusion {fusion}", scores(left), scores(right))
    formula = models.FormulaQuery(formula=models.SumExpression(sum=["$score", models.MultExpression(mult=[0.01, "price"])]), defaults={"price": 1.0})
    left, right = both(lambda client: client.query_points("c", prefetch=stages[0], query=formula, limit=10).points)
    compare("formula", scores(left), scores(right))
    left, right = both(lambda client: client.query_points_groups("c", query=first, using="dot", group_by="word", limit=3, group_size=2).groups)
    compare("groups", [(g.id, scores(g.hits)) for g in left], [(g.id, scores(g.hits)) for g in right])
    threshold = rng.uniform(-0.5, 0.9)
    left, right = both(lambda client: client.query_points("c", query=first, using="cosine", score_threshold=threshold, limit=30).points)
    compare("threshold", scores(left), scores(right))


def writes():
    chosen, ids = some_filter(), rng.sample(sorted(alive, key=str), 5)
    selector = rng.choice([ids, models.FilterSelector(filter=chosen)]) if chosen else ids
    action = rng.randint(0, 6)
    if action == 0:
        both(lambda client: client.set_payload("c", {"late": rng_value, "word": "blue"}, points=selector, wait=True))
    elif action == 1:
        both(lambda client: client.overwrite_payload("c", {"n": rng_value}, points=ids, wait=True))
    elif action == 2:
        both(lambda client: client.delete_payload("c", ["tags", "even"], points=selector, wait=True))
    elif action == 3:
        both(lambda client: client.clear_payload("c", points_selector=ids[:1], wait=True))
    elif action == 4:
        both(lambda client: client.delete("c", points_selector=ids[:2], wait=True))
        alive.difference_update(ids[:2])
    elif action == 5:
        new = vector()
        both(lambda client: client.update_vectors("c", [models.PointVectors(id=ids[0], vector={"cosine": new, "dot": new})], wait=True))
    else:
        new = models.PointStruct(id=ids[0], vector={name: vector() for name in ("cosine", "euclid", "dot", "manhattan")} | {"words": sparse()}, payload=payload(7))
        both(lambda client: client.upsert("c", [new], wait=True))
    left, right = both(lambda client: {str(r.id): r.payload for r in client.scroll("c", limit=400)[0]})
    compare("payloads", left, right)
    left, right = both(lambda client: {str(r.id): r.vector for r in client.scroll("c", limit=400, with_vectors=True)[0]})
    compare("vectors", left, right)


store = QdrantClient(url=os.environ["QDRANT_URL"], api_key=os.environ.get("QDRANT_API_KEY"), prefer_grpc=False)
local = QdrantClient(":memory:")
store.delete_collection("c")
names = ("cosine", "euclid", "dot", "manhattan")
points = [
    models.PointStruct(id=point_id(n), vector={name: vector() for name in names} | ({"words": sparse()} if n % 2 else {}), payload=payload(n))
    for n in range(POINTS)
]
alive = {point.id for point in points}
for client in (store, local):
    build(client, points)
for field, schema in (("word", "keyword"), ("price", "float"), ("n", "integer"), ("place", "geo"), ("even", "bool")):
    store.create_payload_index("c", field, field_schema=schema, wait=True)
for round_number in range(ROUNDS):
    rng_value = rng.randint(0, 1_000)
    reads(round_number)
    writes()
store.delete_collection("c")
for failure in failures[:20]:
    print("DIFFERS", failure)
print(f"{checks} comparisons, {len(failures)} differ (seed {SEED})")
sys.exit(bool(failures))
