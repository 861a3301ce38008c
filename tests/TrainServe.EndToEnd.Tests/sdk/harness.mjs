// Runs checks one after the other and says which failed. Usage of a script: node NAME.mjs BASE_URL [OPENAI_DESCRIPTION]
import { readFileSync } from "node:fs";
import Ajv2020 from "ajv/dist/2020.js";
import { parse } from "yaml";

export const base = process.argv[2];
const description = process.argv[3];
const checks = [];
const misshapen = [];

export function check(name, run) {
  checks.push([name, run]);
}

export async function runAll() {
  let failed = 0;
  for (const [name, run] of checks) {
    try {
      await run();
      if (misshapen.length > 0) {
        throw misshapen.splice(0)[0];
      }
      console.log(`ok ${name}`);
    } catch (error) {
      failed++;
      console.log(`FAILED ${name}: ${error.stack}`);
    }
  }
  console.log(`${checks.length - failed} passed, ${failed} failed`);
  process.exit(failed === 0 ? 0 : 1);
}

const validators = new Map();
let ajv;

// The description is OpenAPI 3.1 with remains of 3.0: nullable.
function modernize(node) {
  if (Array.isArray(node)) {
    return node.map(modernize);
  }
  if (node === null || typeof node !== "object") {
    return node;
  }
  const { nullable, discriminator, ...rest } = Object.fromEntries(Object.entries(node).map(([key, value]) => [key, key === "example" || key === "examples" ? value : modernize(value)]));
  return nullable === true && !("properties" in rest && "nullable" in rest.properties) ? { anyOf: [rest, { type: "null" }] } : rest;
}

// Says whether a value is what OpenAI's description calls by this name; true where the description is not at hand.
export function validate(schema, value) {
  if (!description) {
    return;
  }
  if (!ajv) {
    const document = parse(readFileSync(description, "utf8"));
    ajv = new Ajv2020({ strict: false, validateFormats: false, allErrors: true });
    ajv.addSchema({ $id: "openai", components: { schemas: modernize(document.components.schemas) } });
  }
  if (!validators.has(schema)) {
    validators.set(schema, ajv.compile({ $ref: `openai#/components/schemas/${schema}` }));
  }
  const valid = validators.get(schema);
  if (!valid(value)) {
    // Thrown here it would look like a broken connection to the client.
    misshapen.push(new Error(`not a ${schema}: ${JSON.stringify(valid.errors.slice(0, 4))} in ${JSON.stringify(value)}`));
  }
}

// A fetch that checks every answer and chunk that passes.
export function validatingFetch(schemas) {
  return async (url, init) => {
    const response = await fetch(url, init);
    const path = new URL(url).pathname;
    const [whole, chunk, adapt = (value) => value] = schemas[path] ?? [];
    if (!response.ok) {
      validate("ErrorResponse", await response.clone().json());
    } else if (response.headers.get("content-type").startsWith("text/event-stream")) {
      if (chunk) {
        const text = await response.clone().text();
        for (const line of text.split("\n").filter((line) => line.startsWith("data: ") && line !== "data: [DONE]")) {
          validate(chunk, adapt(JSON.parse(line.slice(6))));
        }
      }
    } else if (whole) {
      validate(whole, await response.clone().json());
    }
    return response;
  };
}
