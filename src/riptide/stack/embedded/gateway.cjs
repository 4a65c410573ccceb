// What Node.js starts: the gateway's one file (gateway_main.mjs and all that it imports, joined by esbuild), with the
// code that V8 made of it the last time. Compiling anew takes a third of the whole start. Node.js 22 has this built
// in (module.enableCompileCache); 20 has not.
//
// CommonJS, as the loader of ES modules takes another 30 ms.
const { createHash } = require("node:crypto");
const fs = require("node:fs");
const path = require("node:path");
const vm = require("node:vm");

const file = path.join(__dirname, "gateway_main.cjs");
// V8 takes only what the same V8 with the same flags has made. Whether that was damaged since it does not look: it
// would end the process. So the code's digest is kept behind it.
const cache = path.join(__dirname, `code-${process.version}-${process.arch}`);
const digest = (code) => createHash("sha256").update(code).digest();

function read() {
  try {
    const kept = fs.readFileSync(cache);
    const code = kept.subarray(0, -32);
    return digest(code).equals(kept.subarray(-32)) ? code : undefined;
  } catch {
    return undefined; // the first start of this version
  }
}

/** Keep the code, the functions included that a start compiles one by one. */
function keep(script) {
  const unfinished = `${cache}.${process.pid}.tmp`;
  try {
    const code = script.createCachedData();
    fs.writeFileSync(unfinished, Buffer.concat([code, digest(code)]));
    fs.renameSync(unfinished, cache);
  } catch {
    fs.rmSync(unfinished, { force: true }); // a full or read-only disk: the next start compiles again
  }
}

const cachedData = read();
// As Node.js itself wraps a CommonJS module: https://nodejs.org/api/modules.html#the-module-wrapper
const wrapped = `(function (exports, require, module, __filename, __dirname) {${fs.readFileSync(file, "utf8")}\n})`;
const script = new vm.Script(wrapped, {
  filename: file,
  cachedData,
  importModuleDynamically: vm.constants?.USE_MAIN_CONTEXT_DEFAULT_LOADER,
});
const joined = { exports: {} };
script.runInThisContext()(joined.exports, require, joined, file, __dirname);
joined.exports.main().then(() => {
  if (!cachedData || script.cachedDataRejected) keep(script);
});
