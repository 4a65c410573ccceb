// /auth/v1: lite's GoTrue, completed: the admin API, the claims of a token, bans, anonymous users, GoTrue's errors.
import { randomUUID } from "node:crypto";
import { App } from "@supabase/lite";
import { isLost, Unavailable } from "./gateway_errors.mjs";
import { authError, json, logError } from "./gateway_http.mjs";
import { signToken, verifyToken } from "./gateway_keys.mjs";
import { findUser, isTooLong, passwordTooLong } from "./gateway_users.mjs";

// bcrypt's least cost: a test makes users by the hundred, and the real GoTrue hashes such a password anew when its
// user signs in (supabase/auth, internal/models/user.go, Authenticate), should the rows ever get there.
process.env.LITE_AUTH_BCRYPT_COST ??= "4";

const NEEDS_USER = /^\/(?:user|logout|reauthenticate)$/;
const ABSENT = /^\/(?:factors|sso|invite|user\/identities|oauth|passkeys|admin\/(?!users(?:\/[^/]*)?$))/;
const SETS_PASSWORD = new Set(["POST /signup", "PUT /user"]);
const METHOD_OF = { password: "password", pkce: "oauth" };

export function createAuth(config, database, keys) {
  const app = new App({
    connection: database.auth,
    api: { enabled: false },
    db: { migrations: { enabled: false } },
    studio: { enabled: false },
    auth: { enabled: true, jwt_secret: config.jwt_secret, ...config.auth },
    options: {
      server: { admin: false, apiKeys: false, disableStudio: true },
      // No mail leaves this machine, and lite's default would print the codes to the log.
      drivers: { email: { send: async () => {} } },
    },
  });
  const issuer = `http://${config.host}:${config.api_port}/auth/v1`;
  const sql = () => database.auth.driver;
  let admin;

  /** Makes lite's answer to a sign-in or a refresh the one GoTrue gives: who is banned, and what a token says. */
  async function complete(body, method) {
    const { session_id, sub, iat, exp } = verifyToken(body.access_token, config.jwt_secret);
    const [user, amr] = await Promise.all([findUser(sql(), sub), authenticationMethods(sql(), session_id, method)]);
    if (user.banned_until && Date.parse(user.banned_until) > Date.now()) {
      await sql()`delete from auth.sessions where id = ${session_id}`;
      return authError(400, "user_banned", "User is banned");
    }
    const access_token = signToken(
      {
        iss: issuer,
        sub,
        aud: user.aud,
        exp,
        iat,
        email: user.email,
        phone: user.phone,
        app_metadata: user.app_metadata,
        user_metadata: user.user_metadata,
        role: user.role,
        aal: "aal1",
        amr,
        session_id,
        is_anonymous: user.is_anonymous,
      },
      config.jwt_secret,
    );
    const { session_id: _session, user_id: _user, ...session } = body;
    return json({ ...session, access_token, user }, 200);
  }

  async function signInAnonymously(data) {
    if (!config.auth.enable_signup) return authError(422, "signup_disabled", "Signups not allowed for this instance");
    const [id, session_id, refresh_token] = [randomUUID(), randomUUID(), randomUUID()];
    await sql().begin(async (tx) => {
      await tx`insert into auth.users (id, aud, role, is_anonymous, raw_app_meta_data, raw_user_meta_data, last_sign_in_at)
        values (${id}, 'authenticated', 'authenticated', true, '{}', ${tx.json(data ?? {})}, now())`;
      await tx`insert into auth.sessions (id, user_id, aal) values (${session_id}, ${id}, 'aal1')`;
      await tx`insert into auth.refresh_tokens (id, token, user_id, session_id)
        values (${randomUUID()}, ${refresh_token}, ${id}, ${session_id})`;
    });
    const iat = Math.floor(Date.now() / 1000);
    const exp = iat + config.auth.jwt_expiry;
    const access_token = signToken({ sub: id, session_id, iat, exp }, config.jwt_secret);
    const body = { access_token, token_type: "bearer", expires_in: exp - iat, expires_at: exp, refresh_token };
    return complete(body, "anonymous");
  }

  /** GoTrue's words for what lite only calls a server error: a trigger on auth.users failed, or the database is away. */
  async function failure(path) {
    await database.ping();
    const msg = path === "/signup" ? "Database error saving new user" : "Database error";
    return authError(500, "unexpected_failure", msg);
  }

  /** A new password ends every session but the one that asks (supabase/auth, internal/models/user.go, UpdatePassword). */
  async function signOutOthers(request) {
    const { sub, session_id } = verifyToken(keys.bearer(request), config.jwt_secret);
    await sql()`delete from auth.sessions where user_id = ${sub} and id is distinct from ${session_id ?? null}::uuid`;
  }

  async function finish(response, path, url) {
    if (response.status >= 500) return failure(path);
    if (response.status === 303 && path === "/verify") return redirect(response);
    if (response.status !== 200 || !/json/.test(response.headers.get("content-type") ?? "")) return response;
    if (path === "/user") {
      const { id } = await response.json();
      return json(await findUser(sql(), id));
    }
    if (!["/token", "/signup", "/verify"].includes(path)) return response;
    const body = await response.json();
    if (!body.access_token) return json(body);
    const grant = url.searchParams.get("grant_type");
    return complete(body, path === "/verify" ? "otp" : path === "/signup" ? "password" : (METHOD_OF[grant] ?? null));
  }

  /** The link in a mail answers with a redirect that carries the tokens behind its #. */
  async function redirect(response) {
    const [target, fragment] = (response.headers.get("location") ?? "").split("#", 2);
    const values = new URLSearchParams(fragment);
    if (!values.has("access_token")) return response;
    const completed = await complete({ access_token: values.get("access_token") }, "otp");
    if (completed.status !== 200) return completed;
    values.set("access_token", (await completed.json()).access_token);
    return new Response(null, { status: 303, headers: { location: `${target}#${values}` } });
  }

  return async function auth(request, url, role) {
    await database.ping();
    const path = url.pathname.slice("/auth/v1".length) || "/";
    try {
      if (/^\/admin\/users(?:\/|$)/.test(path)) {
        admin ??= (await import("./gateway_admin.mjs")).createAdmin(config, sql, keys);
        return await admin(request, url, path, role);
      }
      if (ABSENT.test(path)) {
        return authError(
          501,
          "not_implemented",
          `the embedded stack does not have /auth/v1${path}: use the Docker backend`,
        );
      }
      if (NEEDS_USER.test(path) && !keys.bearer(request)) {
        return authError(403, "bad_jwt", "invalid claim: missing sub claim"); // as for the anon JWT of an API key
      }
      let changesPassword = false;
      if (SETS_PASSWORD.has(`${request.method} ${path}`)) {
        const body = await request
          .clone()
          .json()
          .catch(() => null);
        if (typeof body?.password === "string" && isTooLong(body.password)) return passwordTooLong();
        changesPassword = path === "/user" && typeof body?.password === "string";
        const anonymous = path === "/signup" && config.auth.enable_anonymous_sign_ins;
        if (anonymous && body && !body.email && !body.phone) return await signInAnonymously(body.data);
      }
      const response = await app.fetch(request);
      if (changesPassword && response.status === 200) await signOutOthers(request);
      return await finish(response, path, url);
    } catch (error) {
      if (error instanceof Unavailable) throw error;
      if (isLost(error)) throw new Unavailable(error.message);
      logError("auth", error);
      return authError(500, "unexpected_failure", "Unexpected failure, please check server logs for more information");
    }
  };
}

/** How the session was signed in to (RFC 8176, claim amr), noted where GoTrue notes it; a refresh adds nothing. */
async function authenticationMethods(sql, session, method) {
  if (method) {
    await sql`insert into auth.mfa_amr_claims (id, session_id, created_at, updated_at, authentication_method)
      values (${randomUUID()}, ${session}, now(), now(), ${method}) on conflict do nothing`;
  }
  return await sql`select authentication_method as method, floor(extract(epoch from created_at))::int as timestamp
    from auth.mfa_amr_claims where session_id = ${session} order by created_at desc`;
}
