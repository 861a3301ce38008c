// What clients do when they are told to wait: the server's limit is one request a second after the first sixty, and its Retry-After is obeyed.
import assert from "node:assert/strict";
import OpenAI from "openai";
import Anthropic from "@anthropic-ai/sdk";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { generateText } from "ai";
import { base, check, runAll } from "./harness.mjs";

const key = process.env.TRAINSERVE_KEY;
const messages = [{ role: "user", content: "a" }];
let refused = 0;
const counting = async (url, init) => {
  const response = await fetch(url, init);
  refused += response.status === 429 ? 1 : 0;
  return response;
};

check("without retries the limit is an error of its own type", async () => {
  const client = new OpenAI({ baseURL: `${base}/v1`, apiKey: key, maxRetries: 0 });
  await assert.rejects(async () => {
    for (let i = 0; i < 200; i++) {
      await client.chat.completions.create({ model: "tiny", messages, max_tokens: 1 });
    }
  }, (error) => error instanceof OpenAI.RateLimitError && error.code === "rate_limit_exceeded" && Number(error.headers.get("retry-after")) >= 1 && error.headers.get("x-ratelimit-limit-requests") === "60");
});

check("with retries each client comes back in time", async () => {
  const openai = new OpenAI({ baseURL: `${base}/v1`, apiKey: key, maxRetries: 8, fetch: counting });
  const anthropic = new Anthropic({ baseURL: base, apiKey: key, maxRetries: 8, fetch: counting });
  const model = createOpenAICompatible({ name: "trainserve", baseURL: `${base}/v1`, apiKey: key, fetch: counting })("tiny");
  for (let i = 0; i < 2; i++) {
    await generateText({ model, messages, maxOutputTokens: 1, maxRetries: 8 });
    await openai.chat.completions.create({ model: "tiny", messages, max_tokens: 1 });
    await anthropic.messages.create({ model: "tiny", messages, max_tokens: 1 });
  }
  assert.ok(refused > 0);
});

check("a wrong key is an error of its own type", async () => {
  await assert.rejects(new OpenAI({ baseURL: `${base}/v1`, apiKey: "wrong", maxRetries: 0 }).models.list(), OpenAI.AuthenticationError);
  await assert.rejects(new Anthropic({ baseURL: base, apiKey: "wrong", maxRetries: 0 }).messages.create({ model: "tiny", messages, max_tokens: 1 }), Anthropic.AuthenticationError);
});

await runAll();
