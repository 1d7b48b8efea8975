"""Which runs may stand for one another: those that are alike in all that decides how long a put takes."""

import results

# That, in run.json, and how people say it. The number of puts is not among it: long delays get fewer.
DECIDES = {
    "parameters": {"client": "client {}", "clients": "{} clients", "rate": "{:g} puts a second asked",
                   "put_timeout": "puts fail after {:g} s", "wal_methods": "on {}",
                   "wal_regex": "in {}", "mount_options": "mounted with {}"},
    "cluster": {"kind": "{} cluster", "heartbeat_ms": "heartbeats of {} ms",
                "election_ms": "elections after {} ms", "filesystem": "on {}"},
    "versions": {"slowfs": "slowfs {}", "etcd": "etcd {}"},
    "machine": {"kernel": "Linux {}", "cpus": "{} processors"}}
# A baseline injects nothing: it stands beside all of these.
OF_DELAYS = ("wal_methods", "wal_regex")
# Lists that are empty. A fault that has methods of its own is set without naming any.
NONE = {"wal_methods": "its own calls", "mount_options": "no options"}
# Of runs that were made before there was such a parameter.
BEFORE = {"mount_options": []}
# More are told apart by no eye.
MOST = 5
# A longer name is a letter, which the report explains.
LONGEST = 48


def conditions(run):
    """{name: its value in people's words, None if it is not known}."""
    found = {"leader": f"{run.leader} leading"}
    for section, names in DECIDES.items():
        for name, words in names.items():
            value = run.facts.get(section, {}).get(name, BEFORE.get(name) if run.facts else None)
            if isinstance(value, list):
                value = ",".join(value) or NONE[name]
            if run.injected == 0 and name in OF_DELAYS:
                continue
            found[name] = None if value is None else spoken(name, words, value)
    return found


def spoken(name, words, value):
    if (name, value) == ("clients", 1):
        return "1 client"
    if name == "rate" and not value:
        return "one put after the other"
    return words.format(value)


def alike(one, other):
    return all(other.get(name, value) == value for name, value in one.items())


def sets(runs):
    """[(conditions, runs)]: a run without a delay is in each that has its conditions."""
    found = []
    # Those with a delay first: they say on which methods.
    for run in sorted(runs, key=lambda run: run.injected == 0):
        own = conditions(run)
        fitting = [runs for known, runs in found if alike(own, known)]
        for group in fitting:
            group.append(run)
        if not fitting:
            found.append((own, [run]))
    return found


def differing(found):
    """The names of the conditions that are not the same in all sets, in order."""
    names = list(dict.fromkeys(name for known, _ in found for name in known))
    return [name for name in names
            if len({known[name] for known, _ in found if name in known}) > 1]


def said(known, names):
    if not any(known[name] for name in names if name in known):
        return "no run.json"
    return ", ".join(known[name] or f"{name.replace('_', ' ')} not recorded"
                     for name in names if name in known)


def of(runs):
    """[(name, runs, what it is)], one for each set of conditions; of a single one the name is "".

    Refused if there are too many.
    """
    found = sets(runs)
    names = differing(found)
    if len(found) > MOST:
        raise RuntimeError(
            f"these runs were made under {len(found)} different conditions, and {MOST} can be told "
            f"apart in a plot. They differ in {', '.join(name.replace('_', ' ') for name in names)}. "
            "Plot the directories of some of them")
    if len(found) == 1:
        return [("", found[0][1], "")]
    told = [said(known, names) for known, _ in found]
    short = max(map(len, told)) <= LONGEST and len(set(told)) == len(told)
    return [(text if short else "ABCDE"[n], group, text)
            for n, (text, (_, group)) in enumerate(zip(told, found))]


def groups(runs):
    """The results.Group of each delay of each series, those whose fault never fired by themselves."""
    found = []
    for number, (name, own, _) in enumerate(of(runs)):
        found += [results.Group(injected, fired, number, name, group)
                  for (injected, fired), group in results.by_delay(own).items()]
    return found
