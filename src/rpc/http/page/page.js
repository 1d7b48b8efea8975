const $ = (id) => document.getElementById(id);
const PERIOD = 1000; // between two looks
const PATIENCE = 5000; // for an answer
const COLOURS = 6;

let token = sessionStorage.getItem("slowfs-token") || "";
const past = []; // looks of the last two minutes: { at, stats }
const picked = new Map(); // what the user has chosen to see or not
const colours = new Map();
let kinds = [];

// A link may bring the token behind its #, which goes to no server; it does not stay in the address.
const linked = /^#token=(.+)$/.exec(location.hash);
if (linked) {
  token = decodeURIComponent(linked[1]);
  sessionStorage.setItem("slowfs-token", token);
  history.replaceState(null, "", location.pathname);
}

const ask = async (method, path, body) => {
  const headers = { "Content-Type": "application/json" };
  if (token) headers.Authorization = `Bearer ${token}`;
  const signal = AbortSignal.timeout(PATIENCE);
  const answer = await fetch(path, { method, headers, body, signal, cache: "no-store" });
  if (answer.status === 401) {
    $("key").hidden = false;
    throw new Error("a token is needed");
  }
  const object = await answer.json();
  if (!object.ok) throw new Error(object.error);
  $("key").hidden = true;
  return object;
};

const tell = (state, text) => {
  $("state").dataset.state = state;
  $("state").textContent = text;
};

const outcome = (text, bad = false) => {
  $("outcome").textContent = text;
  $("outcome").classList.toggle("bad", bad);
};

// Changes something, and shows at once what has come of it.
const change = async (what, method, path, body) => {
  try {
    const done = await ask(method, path, body && JSON.stringify(body));
    const warnings = done.warnings.length ? `; but ${done.warnings.join("; ")}` : "";
    outcome(what(done) + warnings);
  } catch (error) {
    outcome(error.message, true);
  }
  await look();
};

// The rows of a table, each kept as long as its key is there, so that a button stays under the pointer.
const rows = (table, keys, make, fill) => {
  const body = table.tBodies[0];
  const there = new Map([...body.rows].map((row) => [row.dataset.key, row]));
  keys.forEach((key, place) => {
    const row = there.get(key) || make(key);
    row.dataset.key = key;
    there.delete(key);
    if (body.rows[place] !== row) body.insertBefore(row, body.rows[place] || null);
    fill(row, key);
  });
  there.forEach((row) => row.remove());
};

const cells = (row, texts, numbers) => {
  while (row.cells.length < texts.length) row.insertCell();
  texts.forEach((text, place) => {
    const cell = row.cells[place];
    if (cell.textContent !== text) cell.textContent = text;
    if (place >= numbers) cell.classList.add("n");
  });
};

// A value as it is typed on the command line.
const typed = (value, takes) => {
  if (Array.isArray(value)) return value.join(",");
  if (typeof value !== "number") return String(value);
  if (takes === "share") return `${+(value * 100).toFixed(6)}%`;
  if (takes === "time" || takes === "distribution") {
    const unit = [[1e9, "s"], [1e6, "ms"], [1e3, "us"]].find(([size]) => value && value % size === 0);
    return unit ? value / unit[0] + unit[1] : `${value}ns`;
  }
  return String(value);
};

const quoted = (text) => (/^[\w.,:%@/+-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`);

const effectLine = ({ kind, params }) => {
  const known = (kinds.find((one) => one.name === kind) || { params: [] }).params;
  const words = [kind];
  for (const { name, takes, first } of known) {
    const value = params[name];
    if (value === undefined || value === false) continue;
    const text = quoted(typed(value, takes));
    words.push(first ? text : value === true ? `--${dashed(name)}` : `--${dashed(name)} ${text}`);
  }
  return words.join(" ");
};

const dashed = (name) => name.replaceAll("_", "-");

// A fault as it would be typed after `slowfs`.
const faultLine = (fault) => {
  const [first, ...others] = fault.effects.map(effectLine);
  const words = [first || "nothing", ...others.map((line) => `--and ${quoted(line)}`)];
  if (fault.methods.length) words.push(`-m ${fault.methods.join(",")}`);
  if (fault.pattern) words.push(`-r ${quoted(fault.pattern)}`);
  for (const [name, value] of Object.entries(fault.options)) {
    const times = ["starts", "lasts", "on_for", "off_for"];
    const takes = name === "probability" ? "share" : times.includes(name) ? "time" : "";
    const word = name === "lasts" ? "for" : dashed(name);
    words.push(value === true ? `--${word}` : `--${word} ${quoted(typed(value, takes))}`);
  }
  return words.join(" ");
};

const showFaults = ({ faults, warnings }, seconds, before) => {
  const firedBefore = new Map((before || []).map((fault) => [fault.id, fault.fired]));
  const make = () => {
    const row = document.createElement("tr");
    cells(row, ["", "", "", "", "", "", ""], 3);
    row.cells[1].className = "fault";
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = "Clear";
    button.addEventListener("click", () => {
      const { key } = row.dataset;
      change((done) => `cleared ${key}, released ${done.released} held`, "DELETE", `/v1/faults/${key}`);
    });
    row.cells[6].append(button);
    return row;
  };
  const byKey = new Map(faults.map((fault) => [String(fault.id), fault]));
  rows($("faults"), [...byKey.keys()], make, (row, key) => {
    const { id, fault, state, matched, fired, held } = byKey.get(key);
    const count = (n) => n.toLocaleString("en");
    cells(row, [fault.name || `#${id}`, faultLine(fault), state, count(matched), count(fired), count(held)], 3);
    row.cells[2].classList.toggle("off", state !== "on");
    row.cells[5].classList.toggle("some", held > 0);
  });
  $("faults").hidden = !faults.length;
  $("no-faults").hidden = faults.length > 0;
  $("clear-all").hidden = !faults.length;
  const lines = warnings.map((text) => Object.assign(document.createElement("li"), { textContent: text }));
  $("warnings").replaceChildren(...lines);
  const fired = faults.reduce((sum, one) => sum + Math.max(one.fired - (firedBefore.get(one.id) ?? one.fired), 0), 0);
  $("held").textContent = shortCount(faults.reduce((sum, fault) => sum + fault.held, 0));
  $("fired").textContent = seconds ? shortCount(fired / seconds) : "–";
};

// Of a method between two looks: how many a second, and quantiles of what was timed.
const between = (now, before, seconds) => {
  const old = before || { calls: 0, injected: 0, errors: 0, usual: 0 };
  const per = (name) => Math.max(now[name] - old[name], 0) / seconds;
  const buckets = now.latency ? now.latency.buckets : {};
  const oldBuckets = old.latency ? old.latency.buckets : {};
  const fresh = Object.entries(buckets)
    .map(([edge, n]) => [Number(edge), n - (oldBuckets[edge] || 0)])
    .filter(([, n]) => n > 0)
    .sort((a, b) => a[0] - b[0]);
  const timed = fresh.reduce((sum, [, n]) => sum + n, 0);
  const quantile = (share) => {
    let seen = 0;
    for (const [edge, n] of fresh) {
      seen += n;
      if (seen >= Math.max(Math.ceil(timed * share), 1)) return edge;
    }
    return null;
  };
  const other = per("errors") - per("injected") - per("usual");
  return { rate: per("calls"), injected: per("injected"), other, p50: quantile(0.5), p99: quantile(0.99) };
};

const byName = (stats) => new Map(stats.requests.map((one) => [one.name, one]));

const isShown = (name, busiest) => picked.get(name) ?? busiest.has(name);

const showServed = (stats, activity) => {
  const all = byName(stats);
  const names = [...all.keys()];
  const busiest = new Set([...names].sort((a, b) => all.get(b).calls - all.get(a).calls).slice(0, 4));
  // Who syncs is who is looked for here.
  for (const name of ["fsync", "fdatasync"]) if (all.has(name)) busiest.add(name);
  const make = (name) => {
    const row = document.createElement("tr");
    cells(row, [name, "", "", "", "", "", "", "", ""], 1);
    row.cells[0].addEventListener("click", () => {
      picked.set(name, !row.classList.contains("shown"));
      draw();
    });
    return row;
  };
  const time = (ns) => (ns === null || ns === undefined ? "–" : shortTime(ns));
  rows($("served"), names, make, (row, name) => {
    const { calls, injected, errors, usual, latency } = all.get(name);
    const now = activity && activity.get(name);
    const count = (n) => (n ? n.toLocaleString("en") : "–");
    cells(row, [name, now && now.rate ? shortCount(now.rate) : "–", time(now && now.p50), time(now && now.p99),
      count(calls), count(injected), count(errors - injected - usual), count(usual), time(latency && latency.max_ns)], 1);
    const shown = isShown(name, busiest);
    row.classList.toggle("shown", shown);
    if (shown && !colours.has(name)) colours.set(name, `c${colours.size % COLOURS}`);
    row.cells[0].className = shown ? colours.get(name) : "";
  });
  $("served").hidden = !names.length;
  $("none-served").hidden = names.length > 0;
};

const draw = () => {
  const last = past[past.length - 1];
  if (!last) return;
  showServed(last.stats, last.activity);
  const shown = [...$("served").tBodies[0].rows].filter((row) => row.classList.contains("shown"));
  const series = (of) => shown.map((row) => {
    const name = row.dataset.key;
    const point = ({ at, activity }) => [at, (activity && activity.get(name) ? of(activity.get(name)) : null) ?? null];
    return { name, colour: colours.get(name), points: past.map(point) };
  });
  const common = { now: last.at };
  drawChart($("latency"), series((one) => one.p99), { ...common, scale: logScale, label: shortTime, height: 190 });
  drawChart($("rates"), series((one) => one.rate), { ...common, scale: linearScale, label: shortCount, height: 120 });
  const timed = past.some(({ activity }) => activity && [...activity.values()].some((one) => one.p99 !== null));
  $("untimed").hidden = timed;
};

const look = async () => {
  try {
    const [stats, faults] = await Promise.all([ask("GET", "/v1/stats"), ask("GET", "/v1/faults")]);
    const at = stats.elapsed_ns / 1e9;
    const before = past[past.length - 1];
    // A mount that began anew has another clock.
    if (before && before.at > at) past.length = 0;
    const seconds = before && at - before.at;
    if (!before || seconds > 0.2) {
      const old = before && byName(before.stats);
      const activity = before
        ? new Map(stats.requests.map((one) => [one.name, between(one, old.get(one.name), seconds)]))
        : null;
      past.push({ at, stats, faults: faults.faults, activity });
      while (past.length && past[0].at < at - SPAN - 2) past.shift();
      const sum = (of) => (activity ? shortCount([...activity.values()].reduce((n, one) => n + of(one), 0)) : "–");
      $("rate").textContent = sum((one) => one.rate);
      $("injected").textContent = sum((one) => one.injected);
      $("errors").textContent = sum((one) => one.other);
      showFaults(faults, seconds, before && before.faults);
      draw();
    } else {
      showFaults(faults, 0, null);
    }
    tell("live", "live");
  } catch (error) {
    tell("gone", $("key").hidden ? "no answer" : "token needed");
  }
};

const given = () => {
  const params = {};
  for (const input of $("params").querySelectorAll("[data-param]")) {
    const value = input.type === "checkbox" ? input.checked : input.value.trim();
    if (value) params[input.dataset.param] = value;
  }
  const text = (id) => $(id).value.trim();
  const methods = text("methods").split(",").map((name) => name.trim()).filter(Boolean);
  const options = text("probability") ? { probability: text("probability") } : {};
  return { methods, pattern: text("pattern"), options, effects: [{ kind: $("kind").value, params }] };
};

const showCommand = () => {
  const [name, add] = [$("name").value.trim(), $("add").checked];
  const line = faultLine(given()) + (name ? ` --name ${name}` : "") + (add ? " --add" : "");
  $("command").textContent = `slowfs ${line}`;
};

const showKind = () => {
  const kind = kinds.find((one) => one.name === $("kind").value);
  const examples = { time: "300ms", errnos: "EIO" };
  const fields = kind.params.filter((param) => param.first || param.needed).map((param) => {
    const label = document.createElement("label");
    const input = document.createElement("input");
    input.type = param.takes === "flag" ? "checkbox" : "text";
    input.size = 14;
    input.dataset.param = param.name;
    input.placeholder = param.form;
    input.title = param.about;
    if (kind.name === "delay" || kind.name === "error") input.value = examples[param.name] || "";
    label.append(param.name, input);
    return label;
  });
  $("params").replaceChildren(...fields);
  $("about").textContent = `${kind.about}.`;
  showCommand();
};

const begin = async () => {
  try {
    const [info, told, methods] = await Promise.all(["info", "kinds", "methods"].map((what) => ask("GET", `/v1/${what}`)));
    kinds = told.kinds;
    $("mountpoint").textContent = info.mountpoint;
    $("backing").textContent = info.backing;
    $("version").textContent = `slowfs ${info.version}, pid ${info.pid}, since ${new Date(info.started_unix_ms).toLocaleString("en")}`;
    document.title = `slowfs ${info.mountpoint}`;
    const option = (text) => Object.assign(document.createElement("option"), { textContent: text, value: text });
    $("kind").replaceChildren(...kinds.map((kind) => option(kind.name)));
    $("kind").value = "delay";
    $("method-names").replaceChildren(...["all", ...methods.methods.map((one) => one.name)].map(option));
    showKind();
  } catch (error) {
    tell("gone", $("key").hidden ? "no answer" : "token needed");
    return false;
  }
  return true;
};

$("key").addEventListener("submit", (event) => {
  event.preventDefault();
  token = $("token").value.trim();
  sessionStorage.setItem("slowfs-token", token);
  $("token").value = "";
  $("key").hidden = true;
  run();
});
$("kind").addEventListener("change", showKind);
$("set").addEventListener("input", showCommand);
$("set").addEventListener("submit", (event) => {
  event.preventDefault();
  const name = $("name").value.trim();
  const fault = { ...given(), add: $("add").checked };
  const done = (put) => `fault ${put.id} ${put.unchanged ? "stands already" : "is set"}`;
  if (name) change(done, "PUT", `/v1/faults/${encodeURIComponent(name)}`, fault);
  else change(done, "POST", "/v1/faults", fault);
});
$("clear-all").addEventListener("click", () => {
  change((done) => `cleared every fault, released ${done.released} held`, "DELETE", "/v1/faults");
});

let running = false;
const run = async () => {
  if (running) return;
  running = true;
  while (!(await begin()) && $("key").hidden) await new Promise((wake) => setTimeout(wake, 2 * PERIOD));
  while ($("key").hidden) {
    if (!document.hidden) await look();
    await new Promise((wake) => setTimeout(wake, PERIOD));
  }
  running = false;
};
run();
