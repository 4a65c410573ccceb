// The API of the embedded stack: @supabase/lite's PostgREST and GoTrue on a real PostgreSQL 17, with what lite 0.10
// lacks of Supabase put right, behind the routes and key checks of Supabase's own gateway.
//
//   node gateway.cjs <run_dir>             serve what <run_dir>/gateway.json says, until SIGTERM
//   node gateway.cjs <run_dir> --migrate   make the tables of schema auth, and end
//
// gateway.cjs is what Node.js is given: it starts all of this, joined into one file, with V8's cache of its code.
// Exit codes: 0 done, 1 failed, 2 used wrongly. One line a request goes to stdout, errors to stderr; neither ever
// holds a key, a token, a password or an email.
import { createServer } from "node:http";
import { getRequestListener } from "@hono/node-server";
import { ConfigError, readConfig } from "./gateway_config.mjs";
import { Database } from "./gateway_database.mjs";
import { describe, logError, logRequest } from "./gateway_http.mjs";
import { createRoutes } from "./gateway_routes.mjs";
import { ensureAuthSchema } from "./gateway_schema.mjs";

const DATABASE_WAIT_MS = 30_000;
const DATABASE_POLL_MS = 20;
const PORT_RETRY_MS = 200;

function die(code, message) {
  process.stderr.write(`gateway: ${message}\n`);
  process.exit(code);
}

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** The same connection attempt again and again: PostgreSQL may still be starting. */
async function waitForDatabase(database, { host, port }) {
  const deadline = performance.now() + DATABASE_WAIT_MS;
  for (;;) {
    try {
      return await database.ping();
    } catch (error) {
      if (/^28/.test(error.code ?? ""))
        throw new Error(`PostgreSQL at ${host}:${port} refused the login (${error.code})`);
      if (performance.now() > deadline)
        throw new Error(`PostgreSQL at ${host}:${port} did not answer within ${DATABASE_WAIT_MS / 1000} s`);
      await sleep(DATABASE_POLL_MS);
    }
  }
}

async function openDatabase(config) {
  const database = new Database(config);
  await waitForDatabase(database, config.db);
  return database;
}

async function migrate(config) {
  const database = await openDatabase(config);
  await ensureAuthSchema(database.auth.driver);
  await database.close();
}

/** lite reports by console.error, with PostgreSQL's text and so with a client's values in it. */
function muteConsole() {
  const write = (...values) => {
    // A plain object is an error the client was told of (gateway_postgrest.mjs), and so is a table that is not there.
    const said = values.filter((value) => typeof value === "string" || (value instanceof Error && !value.relation));
    if (said.length > 0) process.stderr.write(`${said.map(describe).join(" ")}\n`);
  };
  Object.assign(console, { error: write, warn: write, log() {}, info() {}, debug() {} });
}

async function serve(config) {
  const state = { database: null };
  let listener = null;
  const health = () => ({ status: "starting", instance: config.instance, pid: process.pid });
  const server = createServer((incoming, outgoing) => {
    if (listener) return listener(incoming, outgoing);
    outgoing.writeHead(503, { "content-type": "application/json" }).end(JSON.stringify(health()));
  });
  // Listening comes first: a taken port is known at once, and a client that polls gets an answer, not a refusal.
  const started = performance.now();
  server.on("error", (error) => {
    // A client that polls a port of the ephemeral range before anyone listens can connect to itself, and so hold the
    // port for a moment.
    if (error.code === "EADDRINUSE" && performance.now() - started < PORT_RETRY_MS) {
      return void setTimeout(() => server.listen(config.api_port, config.host), 50);
    }
    const taken = error.code === "EADDRINUSE" ? "the port is taken" : error.code;
    die(1, `cannot listen on ${config.host}:${config.api_port}: ${taken}`);
  });
  server.listen(config.api_port, config.host);
  server.keepAliveTimeout = 65_000; // longer than clients keep an idle connection, so that they close it first

  let stopping = false;
  const stop = async () => {
    if (stopping) return;
    stopping = true;
    server.close();
    server.closeAllConnections();
    await Promise.race([state.database?.close(), sleep(500)]);
    process.exit(0);
  };
  process.on("SIGTERM", stop);
  process.on("SIGINT", stop);

  muteConsole();
  // postgres.js rejects promises nobody waits for when a connection dies; the request that was hit has its own answer.
  process.on("unhandledRejection", (error) => logError("unhandled", error));
  process.on("uncaughtException", (error) => logError("uncaught", error));

  const database = await openDatabase(config);
  state.database = database;
  await Promise.all([ensureAuthSchema(database.auth.driver), database.current()]);
  const handle = getRequestListener(createRoutes(config, database), { overrideGlobalObjects: false });
  listener = (incoming, outgoing) => {
    const started = performance.now();
    // As Kong does: a function finds the client's address in request.headers.
    incoming.rawHeaders.push("x-forwarded-for", incoming.socket.remoteAddress);
    if (incoming.url !== "/_riptide/health") outgoing.once("close", () => logRequest(incoming, outgoing, started));
    return handle(incoming, outgoing);
  };
  database.loadRest();
}

/** Do what the command line says; what this gives is there once the API serves, or the tables are made. */
export async function main() {
  const [runDir, flag, ...rest] = process.argv.slice(2);
  if (!runDir || rest.length > 0 || (flag !== undefined && flag !== "--migrate")) {
    die(2, "usage: node gateway.cjs <run_dir> [--migrate]");
  }
  try {
    const config = readConfig(runDir);
    if (flag === "--migrate") await migrate(config);
    else await serve(config);
  } catch (error) {
    if (error instanceof ConfigError) die(2, error.message);
    if (error.code === "3F000") die(1, "the database has no schema auth: roles.sql has not been applied to it");
    die(1, error.severity ? describe(error) : error.message);
  }
}
