"""story: what became of every pod, made from the records of a watch; and figures over that.

All times are time.monotonic() at which an event's line had come in, never the API's, which have whole seconds only.
"""

from lab import is_ready, is_unschedulable


def slim(pod):
    """What the story needs of a pod; a watch of a thousand events stays small."""
    status = pod.get("status", {})
    return {"metadata": {k: pod["metadata"][k] for k in ("namespace", "name", "uid", "deletionTimestamp") if k in pod["metadata"]},
            "node": pod["spec"].get("nodeName"),
            "cpu": sum(cores(c["resources"]["requests"]["cpu"]) for c in pod["spec"]["containers"]),
            "ended": status.get("phase") in ("Succeeded", "Failed"), "ready": is_ready(pod),
            "unschedulable": is_unschedulable(pod)}


def cores(quantity):
    return float(quantity[:-1]) / 1000 if quantity.endswith("m") else float(quantity)


class Life:
    """One pod. Times are None until they come; `waits` are spans in which it was unschedulable."""

    def __init__(self, obj):
        self.namespace, self.name, self.cpu = obj["metadata"]["namespace"], obj["metadata"]["name"], obj["cpu"]
        self.created = self.bound = self.ready = self.deleted = self.gone = None
        self.node, self.waits, self._since = None, [], None

    def see(self, mono, kind, obj):
        if self.created is None and kind != "LISTED":
            self.created = mono
        if self.bound is None and obj["node"]:
            self.bound, self.node = mono, obj["node"]
        if self.ready is None and obj["ready"]:
            self.ready = mono
        if self.deleted is None and (obj["metadata"].get("deletionTimestamp") or kind == "DELETED"):
            self.deleted = mono
        if self.gone is None and (obj["ended"] or kind == "DELETED"):
            self.gone = mono
        waiting = obj["unschedulable"] and not obj["node"] and self.deleted is None
        if waiting and self._since is None:
            self._since = mono
        elif not waiting and self._since is not None:
            self.waits.append((self._since, mono))
            self._since = None

    def close(self, now):
        if self._since is not None:
            self.waits.append((self._since, now))
            self._since = None

    @property
    def blocked(self):
        """Unschedulable at its first attempt: one that failed is always seen before the binding, as a change of its own."""
        return bool(self.waits)


def lives(events, now):
    """A Life for every pod of the events, in order of appearance."""
    found = {}
    for e in events:
        uid = e.object["metadata"]["uid"]
        if uid not in found:
            found[uid] = Life(e.object)
        found[uid].see(e.mono, e.type, e.object)
    for life in found.values():
        life.close(now)
    return list(found.values())


def steps(changes):
    """[(time, +n or -n)] to [(time, level)], sorted."""
    level, out = 0, []
    for at, by in sorted(changes):
        level += by
        out.append((at, level))
    return out


def filler_active(fillers):
    """Cores of filler that holds a node and was not told to go: ready or starting."""
    changes = []
    for f in fillers:
        if f.bound is not None:
            end = min(x for x in (f.deleted, f.gone, float("inf")) if x is not None)
            if f.bound < end:
                changes.append((f.bound, f.cpu))
                if end != float("inf"):
                    changes.append((end, -f.cpu))
    return steps(changes)


def held(pods):
    """Cores that pods hold on nodes, from binding until they are gone."""
    changes = []
    for p in pods:
        if p.bound is not None:
            changes.append((p.bound, p.cpu))
            if p.gone is not None:
                changes.append((p.gone, -p.cpu))
    return steps(changes)


def mean(series, begin, end):
    """The time-weighted mean of a step function."""
    total, level, at = 0.0, 0.0, begin
    for t, value in series:
        if t >= end:
            break
        if t > begin:
            total += level * (t - at)
            at = t
        level = value
    return (total + level * (end - at)) / (end - begin)


def turns(levels, threshold=0):
    """How often a sequence changes direction; a move counts once it leaves the last extreme by more than the threshold."""
    count, direction, extreme = 0, 0, None
    low = high = None
    for value in levels:
        if extreme is None:
            extreme = low = high = value
        elif direction == 0:
            low, high = min(low, value), max(high, value)
            if value - low > threshold:
                direction, extreme = 1, value
            elif high - value > threshold:
                direction, extreme = -1, value
        elif (value - extreme) * direction > 0:
            extreme = value
        elif (extreme - value) * direction > threshold:
            count, direction, extreme = count + 1, -direction, value
    return count


def percentile(values, share):
    values = sorted(values)
    return values[min(len(values) - 1, int(share * len(values)))] if values else None
