// /auth/v1/admin/users: GoTrue's admin API for users (supabase/auth, internal/api/admin.go), which lite has not.
import { createHash, randomBytes, randomUUID } from "node:crypto";
import { authError, json, logError } from "./gateway_http.mjs";
import { TokenError } from "./gateway_keys.mjs";
import { findUser, isTooLong, passwordTooLong, withIdentities } from "./gateway_users.mjs";

const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;
const EMAIL = /^[^\s@]+@[^\s@]+\.[^\s@]+$/;
const PHONE = /^[1-9]\d{1,14}$/;
const BCRYPT = /^\$2[aby]\$\d\d\$.{53}$/;
const PAGE = 50;
const MAX_PAGE = 1000;

const invalid = (msg, status = 400) => authError(status, "validation_failed", msg);
const FIELD_TYPES = {
  email: "string",
  phone: "string",
  password: "string",
  password_hash: "string",
  role: "string",
  aud: "string",
  ban_duration: "string",
  email_confirm: "boolean",
  phone_confirm: "boolean",
  id: "string",
};

/** Milliseconds of a duration as Go writes it (1h30m, 300ms), null where it is none. */
function parseDuration(text) {
  const units = { ns: 1e-6, us: 1e-3, µs: 1e-3, ms: 1, s: 1e3, m: 60e3, h: 3600e3 };
  if (!/^[+-]?(?:0|(?:(?:\d+\.?\d*|\.\d+)(?:ns|us|µs|ms|s|m|h))+)$/.test(text)) return null;
  let sum = 0;
  for (const [, number, unit] of text.matchAll(/(\d+\.?\d*|\.\d+)(ns|us|µs|ms|s|m|h)/g))
    sum += Number(number) * units[unit];
  return text.startsWith("-") ? -sum : sum;
}

/** `given` over `old`, where null takes a key away, as GoTrue's UpdateUserMetaData. */
const merged = (old, given) =>
  Object.fromEntries(
    Object.entries({ ...old, ...given }).filter(([key, value]) => value !== null || !(key in (given ?? {}))),
  );

export function createAdmin(config, sql, keys) {
  /** @returns the refusal, or null for an admin: the role service_role, by API key or by token. */
  function refusal(request, role) {
    try {
      if (keys.claims(request, role).role === "service_role") return null;
    } catch (error) {
      if (!(error instanceof TokenError)) throw error;
      return authError(403, "bad_jwt", `invalid JWT: unable to parse or verify signature, ${error.message}`);
    }
    return authError(403, "not_admin", "User not allowed");
  }

  /** The parameters of a request, cleaned, or the answer that refuses them. */
  async function parameters(request) {
    const text = await request.text();
    let given;
    try {
      given = JSON.parse(text);
    } catch {
      return { refused: authError(400, "bad_json", "Could not parse request body as JSON") };
    }
    if (typeof given !== "object" || given === null)
      return { refused: authError(400, "bad_json", "Could not decode admin user params") };
    for (const [name, type] of Object.entries(FIELD_TYPES)) {
      if (given[name] != null && typeof given[name] !== type) {
        return { refused: authError(400, "bad_json", `Could not decode admin user params: ${name} is no ${type}`) };
      }
    }
    for (const name of ["user_metadata", "app_metadata"]) {
      if (given[name] != null && (typeof given[name] !== "object" || Array.isArray(given[name]))) {
        return { refused: authError(400, "bad_json", `Could not decode admin user params: ${name} is no object`) };
      }
    }
    const email = given.email?.trim().toLowerCase() || null;
    const phone = given.phone?.trim().replace(/^\+/, "") || null;
    if (email && (!EMAIL.test(email) || email.length > 255))
      return { refused: invalid("Unable to validate email address: invalid format") };
    if (phone && !PHONE.test(phone)) return { refused: invalid("Invalid phone number format (E.164 required)") };
    if (given.id != null && !UUID.test(given.id)) return { refused: invalid("ID must conform to the uuid v4 format") };
    if (given.password && given.password_hash)
      return { refused: invalid("Only a password or a password hash should be provided") };
    if (given.password_hash && !BCRYPT.test(given.password_hash))
      return { refused: invalid("the embedded stack takes bcrypt hashes only") };
    if (given.password && isTooLong(given.password)) return { refused: passwordTooLong() };
    let banned; // undefined: as it is; null: not banned
    if (given.ban_duration) {
      const ms = given.ban_duration === "none" ? 0 : parseDuration(given.ban_duration);
      if (ms === null)
        return { refused: invalid(`invalid format for ban duration: time: invalid duration "${given.ban_duration}"`) };
      banned = ms === 0 ? null : new Date(Date.now() + ms);
    }
    return { ...given, email, phone, banned };
  }

  const weak = (password) => {
    const least = config.auth.minimum_password_length;
    if (password.length >= least) return null;
    return authError(422, "weak_password", `Password should be at least ${least} characters.`, {
      weak_password: { reasons: ["length"] },
    });
  };

  async function hash(given) {
    if (given.password_hash) return given.password_hash;
    const { default: bcrypt } = await import("bcryptjs");
    return bcrypt.hash(given.password, Number(process.env.LITE_AUTH_BCRYPT_COST));
  }

  const addIdentity = (tx, id, provider, data) => tx`
    insert into auth.identities (id, user_id, provider, provider_id, identity_data, last_sign_in_at)
    values (${randomUUID()}, ${id}, ${provider}, ${id},
      ${tx.json({ sub: id, ...data, email_verified: false, phone_verified: false })}, now())`;

  const audit = (tx, action, user) => tx`
    insert into auth.audit_log_entries (id, payload) values (${randomUUID()}, ${tx.json({
      action,
      actor_id: "00000000-0000-0000-0000-000000000000",
      actor_username: "service_role",
      actor_via_sso: false,
      log_type: "team",
      traits: { user_id: user.id, user_email: user.email ?? "", user_phone: user.phone ?? "" },
    })})`;

  /** GoTrue's answer to an error of the database. */
  function databaseError(error, msg) {
    if (error.code === "23505") {
      const index = error.constraint_name ?? "";
      if (index.includes("email"))
        return authError(422, "email_exists", "A user with this email address has already been registered");
      if (index.includes("phone"))
        return authError(422, "phone_exists", "Phone number already registered by another user");
      if (index === "users_pkey")
        return authError(422, "user_already_exists", "A user with this ID has already been registered");
    }
    if (!error.severity) throw error;
    logError("auth admin", error);
    return authError(500, "unexpected_failure", msg);
  }

  async function create(request) {
    const given = await parameters(request);
    if (given.refused) return given.refused;
    if (!given.email && !given.phone) return invalid("Cannot create a user without either an email or phone");
    const tooWeak = given.password ? weak(given.password) : null;
    if (tooWeak) return tooWeak;
    if (!given.password && !given.password_hash) given.password = randomBytes(48).toString("base64url");
    const providers = ["email", "phone"].filter((each) => given[each]);
    const row = {
      id: given.id ?? randomUUID(),
      aud: given.aud || "authenticated",
      role: given.role || "authenticated",
      email: given.email,
      phone: given.phone,
      encrypted_password: await hash(given),
      email_confirmed_at: given.email && given.email_confirm ? new Date() : null,
      phone_confirmed_at: given.phone && given.phone_confirm ? new Date() : null,
      banned_until: given.banned ?? null,
      raw_app_meta_data: merged({ provider: providers[0], providers }, given.app_metadata),
      raw_user_meta_data: {
        ...merged({}, given.user_metadata),
        ...(given.email_confirm ? { email_verified: true } : {}),
      },
    };
    try {
      await sql().begin(async (tx) => {
        await tx`insert into auth.users ${tx(row)}`;
        for (const each of providers) await addIdentity(tx, row.id, each, { [each]: row[each] });
        await audit(tx, "user_signedup", row);
      });
    } catch (error) {
      return databaseError(error, "Database error creating new user");
    }
    return json(await findUser(sql(), row.id));
  }

  async function list(url) {
    const number = (name, standard) => {
      const text = url.searchParams.get(name);
      return text ? (/^\d{1,9}$/.test(text) ? Number(text) : null) : standard;
    };
    const page = number("page", 1);
    const perPage = number("per_page", PAGE);
    if (page === null || perPage === null) return invalid("Bad Pagination Parameters: not a number");
    const size = Math.min(perPage || PAGE, MAX_PAGE);
    const at = Math.max(page, 1);
    const filter = url.searchParams.get("filter") ?? "";
    const matches = filter
      ? sql()`(position(lower(${filter}) in lower(coalesce(email, ''))) > 0 or raw_user_meta_data ->> 'full_name' ilike ${`%${filter}%`})`
      : sql()`true`;
    const [{ total }] = await sql()`select count(*)::int as total from auth.users where ${matches}`;
    const rows = await sql()`select * from auth.users where ${matches}
      order by created_at desc, id limit ${size} offset ${(at - 1) * size}`;
    const last = Math.max(Math.ceil(total / size), 1);
    const link = (to, rel) => `</admin/users?page=${to}&per_page=${size}>; rel="${rel}"`;
    const links = [...(at < last ? [link(at + 1, "next")] : []), link(last, "last")].join(", ");
    const users = await withIdentities(sql(), rows);
    return json({ users, aud: "authenticated" }, 200, { "x-total-count": String(total), link: links });
  }

  async function update(id, old, request) {
    const given = await parameters(request);
    if (given.refused) return given.refused;
    const tooWeak = given.password ? weak(given.password) : null;
    if (tooWeak) return tooWeak;
    const password = given.password || given.password_hash ? await hash(given) : null;
    const verified = given.email_confirm ? { email_verified: true } : {};
    const changes = {
      ...(given.role ? { role: given.role } : {}),
      ...(given.email ? { email: given.email } : {}),
      ...(given.phone ? { phone: given.phone } : {}),
      ...(given.email_confirm ? { email_confirmed_at: new Date(), confirmation_token: null } : {}),
      ...(given.phone_confirm ? { phone_confirmed_at: new Date() } : {}),
      ...(given.banned === undefined ? {} : { banned_until: given.banned }),
      ...(password ? { encrypted_password: password, recovery_token: null, recovery_sent_at: null } : {}),
      updated_at: new Date(),
    };
    try {
      await sql().begin(async (tx) => {
        // Locked, so that two updates of the metadata do not lose one another's keys.
        const [row] = await tx`select * from auth.users where id = ${id} for update`;
        changes.raw_user_meta_data = { ...merged(row.raw_user_meta_data, given.user_metadata), ...verified };
        changes.raw_app_meta_data = merged(row.raw_app_meta_data, given.app_metadata);
        for (const provider of ["email", "phone"]) {
          if (!given[provider]) continue;
          const changed = await tx`update auth.identities set updated_at = now(),
              identity_data = identity_data || ${tx.json({ [provider]: given[provider] })}
            where user_id = ${id} and provider = ${provider} returning id`;
          if (changed.length > 0) continue;
          await addIdentity(tx, id, provider, { [provider]: given[provider] });
          const providers = [...new Set([...(changes.raw_app_meta_data.providers ?? []), provider])];
          changes.raw_app_meta_data = { provider: providers[0], ...changes.raw_app_meta_data, providers };
        }
        await tx`update auth.users set ${tx(changes)} where id = ${id}`;
        if (password) await tx`delete from auth.sessions where user_id = ${id}`; // signed out everywhere
        await audit(tx, "user_modified", old);
      });
    } catch (error) {
      return databaseError(error, "Error updating user");
    }
    return json(await findUser(sql(), id));
  }

  /** GoTrue keeps the row and makes it unreadable: each text becomes a hash, metadata goes. */
  async function softDelete(tx, id, user) {
    const obscured = (value) => (value ? createHash("sha256").update(`${id}${value}`).digest("base64url") : value);
    await tx`update auth.users set deleted_at = now(), updated_at = now(), email = ${obscured(user.email) || null},
        phone = ${user.phone ? obscured(user.phone).slice(0, 15) : null}, encrypted_password = '', confirmation_token = null,
        recovery_token = null, email_change = null, email_change_token_current = null, email_change_token_new = null,
        phone_change = null, phone_change_token = null, reauthentication_token = null,
        raw_user_meta_data = '{}', raw_app_meta_data = '{}' where id = ${id}`;
    for (const each of user.identities) {
      await tx`update auth.identities set provider_id = ${obscured(each.id)}, identity_data = '{}' where id = ${each.identity_id}`;
    }
    await tx`delete from auth.sessions where user_id = ${id}`;
  }

  async function remove(id, user, request) {
    const text = await request.text();
    let soft = false;
    try {
      soft = text !== "" && JSON.parse(text).should_soft_delete === true;
    } catch {
      return authError(400, "bad_json", "Could not read params");
    }
    try {
      await sql().begin(async (tx) => {
        await audit(tx, "user_deleted", user);
        if (!soft) await tx`delete from auth.users where id = ${id}`;
        else if (!user.deleted_at) await softDelete(tx, id, user);
      });
    } catch (error) {
      return databaseError(error, "Database error deleting user");
    }
    return json({});
  }

  return async function admin(request, url, path, role) {
    const refused = refusal(request, role);
    if (refused) return refused;
    const id = path.slice("/admin/users/".length);
    const { method } = request;
    if (!id) {
      if (method === "GET") return list(url);
      if (method === "POST") return create(request);
      return new Response(null, { status: 405, headers: { allow: "GET, POST" } });
    }
    if (!UUID.test(id)) return invalid("user_id must be an UUID", 404);
    if (!["GET", "PUT", "DELETE"].includes(method))
      return new Response(null, { status: 405, headers: { allow: "GET, PUT, DELETE" } });
    const user = await findUser(sql(), id);
    if (!user) return authError(404, "user_not_found", "User not found");
    if (method === "PUT") return update(id, user, request);
    return method === "DELETE" ? remove(id, user, request) : json(user);
  };
}
