// Lines over the last minutes, drawn as SVG. Each series is one method; its class gives its colour.
const SPAN = 120; // seconds that are shown at most

const svgNode = (name, attributes = {}, text = "") => {
  const node = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  node.textContent = text;
  return node;
};

// A time in three digits, as `slowfs stats` has it.
const shortTime = (ns) => {
  for (const [size, unit] of [[1e9, "s"], [1e6, "ms"], [1e3, "us"]]) {
    if (ns >= size * 0.9995) {
      const value = ns / size;
      return value.toFixed(value < 9.995 ? 2 : value < 99.95 ? 1 : 0) + unit;
    }
  }
  return Math.round(ns) + "ns";
};

const shortCount = (n) => {
  for (const [size, unit] of [[1e9, "G"], [1e6, "M"], [1e4, "k"]]) {
    if (n >= size) return (n / (unit === "k" ? 1e3 : size)).toFixed(1) + unit;
  }
  return n >= 100 || Number.isInteger(n) ? String(Math.round(n)) : n.toFixed(1);
};

// Powers of ten that hold all values; of counts from 0 up to a round number.
const logScale = (values) => {
  const low = Math.floor(Math.log10(Math.max(Math.min(...values), 1)));
  const high = Math.max(Math.ceil(Math.log10(Math.max(...values, 1))), low + 1);
  const ticks = [];
  for (let power = low; power <= high; power += 1) ticks.push(10 ** power);
  return { ticks, at: (value) => (Math.log10(Math.max(value, 1)) - low) / (high - low) };
};

const linearScale = (values) => {
  const most = Math.max(...values, 1);
  const power = 10 ** Math.floor(Math.log10(most));
  const top = [1, 2, 5, 10].map((n) => n * power).find((n) => n >= most);
  return { ticks: [0, top / 2, top], at: (value) => value / top };
};

// `series`: a list of { name, colour, points: [[seconds, value or null], ...] }.
const drawChart = (box, series, { now, scale, label, height }) => {
  const width = Math.max(box.clientWidth, 320);
  const [left, right, top, bottom] = [56, 96, 10, 18];
  const svg = svgNode("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": box.id });
  const values = series.flatMap((one) => one.points.map((point) => point[1])).filter((v) => v !== null);
  const of = scale(values.length ? values : [1000, 100000]);
  // What has only begun is not drawn into a corner.
  const first = Math.min(...series.flatMap((one) => one.points.slice(0, 1).map((point) => point[0])), now);
  const span = [30, 60].find((seconds) => now - first <= seconds) || SPAN;
  const x = (at) => left + (width - left - right) * (1 - (now - at) / span);
  const y = (value) => height - bottom - (height - top - bottom) * of.at(value);
  for (const tick of of.ticks) {
    svg.append(svgNode("line", { class: "grid", x1: left, x2: width - right, y1: y(tick), y2: y(tick) }));
    svg.append(svgNode("text", { x: left - 8, y: y(tick) + 4, "text-anchor": "end" }, label(tick)));
  }
  for (const part of [3, 2, 1, 0]) {
    const ago = (span * part) / 3;
    const anchor = part === 3 ? "start" : "middle";
    svg.append(svgNode("text", { x: x(now - ago), y: height - 2, "text-anchor": anchor }, ago ? `-${ago}s` : "now"));
  }
  const ends = [];
  for (const { name, colour, points } of series) {
    const group = svgNode("g", { class: colour, "data-method": name });
    let path = "";
    let before = null;
    for (const [at, value] of points) {
      if (value !== null) {
        path += `${before === null ? "M" : "L"}${x(at).toFixed(1)} ${y(value).toFixed(1)}`;
        ends[name] = [x(at), y(value), value];
        // One by itself would not be seen.
        if (before === null) group.append(svgNode("circle", { cx: x(at), cy: y(value), r: 1.8 }));
      }
      before = value;
    }
    group.append(svgNode("path", { class: "of", d: path }));
    svg.append(group);
  }
  // Names beside the last points, kept apart from each other.
  const named = series.filter(({ name }) => ends[name]).sort((a, b) => ends[a.name][1] - ends[b.name][1]);
  const places = [];
  for (const { name } of named) places.push(Math.max(ends[name][1] + 4, (places.at(-1) ?? -Infinity) + 14));
  let room = height - 4;
  for (let place = places.length - 1; place >= 0; place -= 1, room -= 14) places[place] = Math.min(places[place], room);
  named.forEach(({ name, colour }, place) => {
    const group = svgNode("g", { class: colour });
    group.append(svgNode("text", { class: "key", x: width - right + 10, y: places[place] }, name));
    svg.append(group);
  });
  box.replaceChildren(svg);
};
