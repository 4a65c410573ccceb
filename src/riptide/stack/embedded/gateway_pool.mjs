// A pool of connections for lite's queries, in the place of postgres.js's own reserve(): that one, when a lent
// connection dies, leaves the request waiting for ever and puts the dead connection back among the living.
import postgres from "postgres";
import { isLost } from "./gateway_errors.mjs";

class Lost extends Error {
  code = "CONNECTION_CLOSED";
}

/**
 * Makes `driver.reserve()` lend one of at most `size` clients of one connection each. A client whose connection died
 * while it was lent refuses every further query: on a new connection the transaction and its role would be gone.
 *
 * @param see turns a statement's parameters into what the server is to see
 * @returns {{renew: () => void, end: () => Promise<void>}} renew: replace each connection before its next use
 */
export function usePool(driver, size, see = (_text, parameters) => parameters) {
  const free = [];
  const waiting = [];
  const all = new Set();
  let version = 0;

  function make() {
    const client = { version, broken: false };
    // With no lifetime: postgres.js would end an old connection between two statements of a transaction.
    client.sql = postgres({ ...driver.options, max: 1, max_lifetime: null, onclose: () => (client.broken = true) });
    all.add(client);
    return client;
  }

  function discard(client) {
    all.delete(client);
    client.sql.end({ timeout: 1 }).catch(() => {});
  }

  async function take() {
    const client = free.pop() ?? (all.size < size ? make() : await new Promise((resolve) => waiting.push(resolve)));
    // postgres.js answers the first query after a reconnect with the error that had ended the connection before.
    if (client.version === version && !client.broken) return client;
    discard(client);
    return make();
  }

  driver.reserve = async () => {
    const client = await take();
    return {
      async unsafe(text, parameters) {
        if (client.broken) throw new Lost("the connection was lost");
        try {
          return await client.sql.unsafe(text, see(text, parameters));
        } catch (error) {
          if (isLost(error)) client.broken = true;
          throw error;
        }
      },
      release() {
        const next = waiting.shift();
        if (next) next(client);
        else free.push(client);
      },
    };
  };
  return {
    renew: () => version++,
    end: () => Promise.allSettled([...all].map((client) => client.sql.end({ timeout: 0.2 }))),
  };
}
