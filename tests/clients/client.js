// All five calls, by npm's thrift and stubs made from server.thrift: client.js PORT MOUNTPOINT STUBS
"use strict";
const fs = require("fs");
const path = require("path");
const util = require("util");
const thrift = require("thrift");

const [port, mnt, stubs] = process.argv.slice(2);
const server = require(path.join(stubs, "server"));
const connection = thrift.createConnection("127.0.0.1", Number(port), {
  transport: thrift.TBufferedTransport,
  protocol: thrift.TBinaryProtocol,
});
connection.on("error", (error) => {
  console.error(`connection: ${error.message}`);
  process.exit(1);
});
const client = thrift.createClient(server, connection);
const call = (name, ...args) => util.promisify(client[name].bind(client))(...args);

function outcome(operation, file) {
  try {
    operation(file);
    return "done";
  } catch (error) {
    return error.code;
  }
}

function check(what, found, wanted) {
  if (found !== wanted) {
    console.error(`${what}: ${found}, not ${wanted}`);
    process.exit(1);
  }
}

async function main() {
  const [hit, spared] = ["hit", "spared"].map((name) => path.join(mnt, name));
  const methods = await call("get_methods");
  check("methods are sorted", methods.join(), [...methods].sort().join());
  check("fsync is a method", methods.includes("fsync"), true);

  const some = ["mkdir", "rmdir", "unheard_of"];
  await call("set_fault", some, false, 28, 100000, ".*/hit", false, 0, false);
  check("mkdir that matches", outcome(fs.mkdirSync, hit), "ENOSPC");
  check("mkdir that does not", outcome(fs.mkdirSync, spared), "done");
  await call("clear_fault", "mkdir");
  check("mkdir after clear_fault", outcome(fs.mkdirSync, hit), "done");
  check("rmdir still fails", outcome(fs.rmdirSync, hit), "ENOSPC");

  await call("set_fault", ["rmdir"], false, 0, 100000, ".*/spared", false, 60000, false);
  const began = process.hrtime.bigint();
  check("rmdir that is delayed", outcome(fs.rmdirSync, spared), "done");
  check("it took 60 ms", process.hrtime.bigint() - began >= 60000000n, true);

  await call("set_all_fault", false, 5, 0, ".*/hit", false, 0, false);
  check("stat of what matches", outcome(fs.statSync, hit), "EIO");
  check("stat of what does not", outcome(fs.statSync, mnt), "done");
  await call("clear_all_faults");
  check("rmdir after clear_all_faults", outcome(fs.rmdirSync, hit), "done");
  connection.end();
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
