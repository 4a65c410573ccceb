// The gateway's connections to PostgreSQL, and the schema cache that REST works from.
//
// - The watcher (postgres, one connection) listens for `NOTIFY pgrst` and reads the schema. lite reads it from
//   information_schema, which shows a role only what it may use, and so shows `authenticator` nothing. `postgres` owns
//   what migrations make and may read all. No superuser: the queries would call functions that clients made in public.
// - REST (authenticator, a small pool) runs each request in a transaction under its JWT's role.
// - Auth (supabase_auth_admin, a small pool) owns its tables and nothing else, as GoTrue.
import { createPostgresConnection } from "@supabase/lite/postgres";
import { isLost, Unavailable } from "./gateway_errors.mjs";
import { logError } from "./gateway_http.mjs";
import { usePool } from "./gateway_pool.mjs";
import { keepStrings, postgrestError, requireFilter } from "./gateway_postgrest.mjs";
import { authTypes, restRequest, restTypes, typedParameters } from "./gateway_types.mjs";

const APPLICATION = { application_name: "riptide gateway" };
const REST_POOL = 5;
const AUTH_POOL = 3;
const ADMIN_POOL = 2;
const IDLE_S = 60; // a connection costs the server some MB: give it back when nobody uses it
const RECONNECT_S = 0.02;
const CONNECT_TIMEOUT_S = 5;
const PING_TIMEOUT_MS = 10_000;
// A reload that nobody waits for lets a run of migrations pass first. Whoever asks before has it at once.
const RELOAD_QUIET_MS = 1_000;
const RELOAD_RETRY_MS = 1_000;

class Refused extends Error {
  constructor(response) {
    super("rolled back");
    this.response = response;
  }
}

export class Database {
  #config;
  #watcher;
  #listening = false;
  #opening = null;
  #stale = true;
  #reloading = null;
  #timer = null;
  #schema = null;
  #timezones = [];
  #roleSettings = new Map();
  #customTypes = null;
  #pool;
  #authPool;

  constructor(config) {
    this.#config = config;
    this.#watcher = this.#connection("postgres", restTypes, {
      // Whatever a migration sets for the role; types in these schemas are called by their bare name.
      connection: { ...APPLICATION, search_path: '"$user", public, auth, extensions' },
      max: 1,
      idle_timeout: null,
      max_lifetime: null,
      onnotify: (channel, payload) => channel === "pgrst" && this.#notified(payload),
      onclose: () => (this.#listening = false),
    });
    // Its one connection is shared, not lent: a ping has to go the way the notifications come.
    const { driver } = this.#watcher;
    driver.reserve = async () => ({ unsafe: (text, parameters) => this.#readSchema(text, parameters), release() {} });

    this.rest = this.#connection("authenticator", restTypes, { max: 1 });
    this.#pool = usePool(this.rest.driver, REST_POOL, (text, parameters) =>
      typedParameters(this.rest.driver, text, parameters),
    );
    this.rest.introspect = async () => this.#schema;
    this.rest.viewOptionsMetadata = (...of) => this.#watcher.viewOptionsMetadata(...of);
    this.rest.withContext = (_vars, work) => this.#asRole(work);
    this.rest.normalizeDbError = postgrestError;
    const check = this.rest.onPostgrestAST.bind(this.rest);
    this.rest.onPostgrestAST = async (ast, vars) => {
      keepStrings(ast, this);
      const checked = await check(ast, vars);
      requireFilter(checked);
      return checked;
    };

    this.auth = this.#connection("supabase_auth_admin", authTypes, { max: ADMIN_POOL });
    this.#authPool = usePool(this.auth.driver, AUTH_POOL);
  }

  #connection(user, types, options) {
    const { host, port, database, password } = this.#config.db;
    const connection = createPostgresConnection({
      url: `postgres://${user}:${encodeURIComponent(password)}@${host}:${port}/${encodeURIComponent(database)}`,
      postgresOptions: {
        idle_timeout: IDLE_S,
        connect_timeout: CONNECT_TIMEOUT_S,
        backoff: () => RECONNECT_S,
        onnotice() {},
        connection: APPLICATION,
        types,
        ...options,
      },
    });
    // lite would otherwise grant everything to the API roles and make its own auth.uid() at the first request.
    connection.rlsState = "active";
    connection.config.baseSchema = "";
    return connection;
  }

  /** lite's queries for the schema. pg_timezone_names reads a thousand files, 20 to 60 ms: once is enough. */
  #readSchema(text, parameters) {
    if (/^\s*select name from pg_catalog\.pg_timezone_names\s*$/i.test(text)) {
      return Promise.resolve(
        Object.assign(
          this.#timezones.map((name) => ({ name })),
          { command: "SELECT", count: 0 },
        ),
      );
    }
    return this.#watcher.driver.unsafe(text, parameters);
  }

  async #loadTimezones() {
    const rows = await this.#watcher.driver`select name from pg_catalog.pg_timezone_names`;
    this.#timezones = rows.map((row) => row.name);
    if (this.#schema) this.#schema.timezones = this.#timezones;
  }

  #notified(payload) {
    if (payload !== "reload schema" && payload !== "") return; // "reload config" is the other one PostgREST has
    this.#stale = true;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.current().catch(() => {}), RELOAD_QUIET_MS).unref();
  }

  /**
   * One round trip to the connection that listens. The server delivers what was notified before the query's answer,
   * so afterwards every schema change that was committed before the call is known.
   */
  async ping() {
    let timer;
    const late = new Promise((_, reject) => {
      timer = setTimeout(() => reject(new Unavailable("no answer")), PING_TIMEOUT_MS);
    });
    try {
      // Twice: the first query on a new connection may be answered with what had ended the old one.
      await Promise.race([this.#ask().catch((error) => (isLost(error) ? this.#ask() : Promise.reject(error))), late]);
    } catch (error) {
      throw isLost(error) ? new Unavailable(error.message) : error;
    } finally {
      clearTimeout(timer);
    }
  }

  async #ask() {
    if (this.#listening) await this.#watcher.driver`select 1`;
    else await (this.#opening ??= this.#open().finally(() => (this.#opening = null)));
  }

  async #open() {
    await this.#watcher.driver.unsafe("listen pgrst");
    this.#listening = true;
    this.#stale = true; // notifications of the time in between are lost
  }

  /** Returns when the schema cache has every change that was committed before the call. */
  async current() {
    await this.ping();
    while (this.#stale || this.#reloading)
      await (this.#reloading ??= this.#reload().finally(() => (this.#reloading = null)));
  }

  /** Waits with what no request needs until the first ones are answered. */
  loadRest() {
    setTimeout(() => this.#loadTimezones().catch((error) => logError("time zones", error)), 2_000).unref();
  }

  async #reload() {
    clearTimeout(this.#timer);
    this.#stale = false;
    try {
      const schema = await this.#watcher.introspect({ useCache: false });
      // lite answers an empty schema when it fails; only a whole one names the default schema.
      if (!schema.default_schema) throw new Error("the schema could not be read");
      await this.#readRoles();
      this.#schema = schema;
    } catch (error) {
      if (!this.#listening || isLost(error)) {
        this.#stale = true;
        throw new Unavailable(error.message);
      }
      logError("schema cache", error);
      if (!this.#schema) {
        this.#stale = true;
        throw error;
      }
      // Better the schema as it was than none; try again soon.
      this.#timer = setTimeout(() => (this.#stale = true), RELOAD_RETRY_MS).unref();
    }
  }

  /** Settings of the roles that authenticator may take (statement_timeout and the like), and the custom types. */
  async #readRoles() {
    const [{ types, settings }] = await this.#watcher.driver`
      select
        (select md5(string_agg(oid::text, ',' order by oid)) from pg_type where typtype in ('e', 'd', 'r')) as types,
        (select json_agg(json_build_object('role', r.rolname, 'name', split_part(o, '=', 1),
            'value', substr(o, strpos(o, '=') + 1)))
          from pg_roles r
            join pg_db_role_setting s on s.setrole = r.oid
              and s.setdatabase in (0, (select d.oid from pg_database d where d.datname = current_database()))
            cross join unnest(s.setconfig) as o
            join pg_settings p on p.name = split_part(o, '=', 1) and p.context = 'user'
          where pg_has_role('authenticator', r.oid, 'member') and r.rolname <> 'authenticator'
            and p.name not in ('search_path', 'role')) as settings`;
    this.#roleSettings = Map.groupBy?.(settings ?? [], (each) => each.role) ?? groupByRole(settings ?? []);
    // postgres.js learns the array types of the database when it connects.
    if (this.#customTypes !== null && this.#customTypes !== types) this.#pool.renew();
    this.#customTypes = types;
  }

  /**
   * The transaction of one REST request, set up as PostgREST does
   * (docs.postgrest.org/en/stable/references/transactions.html). A role that authenticator was not granted is refused
   * by PostgreSQL here: this connection is never a superuser.
   */
  async #asRole(work) {
    const request = restRequest.getStore();
    const { role } = request.claims;
    const settings = [
      ["role", role],
      ["search_path", [request.schema, ...this.#config.api.extra_search_path].map(quoteIdent).join(", ")],
      ...(this.#roleSettings.get(role) ?? []).map(({ name, value }) => [name, value]),
      ["request.jwt.claims", JSON.stringify(request.claims)],
      ["request.method", request.method],
      ["request.path", request.path],
      ["request.headers", JSON.stringify(request.headers)],
      ["request.cookies", JSON.stringify(request.cookies)],
      // A function sets these two to choose the answer.
      ["response.status", ""],
      ["response.headers", ""],
      ["transaction_read_only", request.readOnly ? "on" : "off"],
    ];
    const text = `select ${settings.map((_, i) => `set_config($${2 * i + 1}, $${2 * i + 2}, true)`).join(", ")}`;
    try {
      return await this.rest.kysely.transaction().execute(async (transaction) => {
        await transaction.executeQuery({ sql: text, parameters: settings.flat(), query: { kind: "RawNode" } });
        const response = await work(transaction);
        // PostgREST undoes what a request did when it then answers with an error of its own (.single() on two rows).
        if (response instanceof Response && response.status >= 400 && (await isPostgrestError(response))) {
          throw new Refused(response);
        }
        return response;
      });
    } catch (error) {
      if (error instanceof Refused) return error.response;
      throw error;
    }
  }

  /** Functions of this name, to tell whether a call may write. */
  functions(schema, name) {
    return (this.#schema?.functions ?? []).filter((each) => each.schema === schema && each.name === name);
  }

  /** The types of a table's columns by name. */
  columnTypes(schema, table) {
    const columns = (this.#schema?.columns ?? []).filter((each) => each.table === table && each.schema === schema);
    return new Map(columns.map((each) => [each.name, each.pg_type ?? each.type]));
  }

  async close() {
    clearTimeout(this.#timer);
    const ends = [this.#watcher, this.rest, this.auth].map((each) => each.driver.end({ timeout: 0.2 }));
    ends.push(this.#pool.end(), this.#authPool.end());
    await Promise.allSettled(ends);
  }
}

const quoteIdent = (name) => `"${name.replaceAll('"', '""')}"`;

function groupByRole(settings) {
  const groups = new Map();
  for (const each of settings) groups.set(each.role, [...(groups.get(each.role) ?? []), each]);
  return groups;
}

async function isPostgrestError(response) {
  try {
    return /^PGRST/.test((await response.clone().json()).code);
  } catch {
    return false;
  }
}
