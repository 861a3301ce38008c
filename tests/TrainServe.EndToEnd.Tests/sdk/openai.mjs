// OpenAI's client for Node takes the server for the real thing; every answer and chunk fits OpenAI's own description.
import assert from "node:assert/strict";
import OpenAI from "openai";
import { base, check, runAll, validatingFetch } from "./harness.mjs";

// The description has no null for the finish reason of a chunk that is not the last; OpenAI itself sends it.
const finished = (chunk) => ({ ...chunk, choices: chunk.choices.map((choice) => ({ ...choice, finish_reason: choice.finish_reason ?? "stop" })) });
const schemas = {
  "/v1/chat/completions": ["CreateChatCompletionResponse", "CreateChatCompletionStreamResponse"],
  "/v1/completions": ["CreateCompletionResponse", "CreateCompletionResponse", finished],
  "/v1/responses": ["Response", "ResponseStreamEvent"],
  "/v1/embeddings": ["CreateEmbeddingResponse"],
  "/v1/models": ["ListModelsResponse"],
  "/v1/models/tiny": ["Model"],
};
const client = new OpenAI({ baseURL: `${base}/v1`, apiKey: "none", maxRetries: 0, fetch: validatingFetch(schemas) });
const plain = new OpenAI({ baseURL: `${base}/v1`, apiKey: "none", maxRetries: 0 });
const messages = [{ role: "system", content: "Be brief." }, { role: "user", content: "hello world" }];

check("a whole answer", async () => {
  const answer = await client.chat.completions.create({ model: "tiny", messages, max_tokens: 12, seed: 1, logprobs: true, top_logprobs: 2, n: 2 });
  assert.match(answer.id, /^chatcmpl-/);
  assert.equal(answer.choices.length, 2);
  assert.equal(answer.usage.total_tokens, answer.usage.prompt_tokens + answer.usage.completion_tokens);
  assert.ok(answer._request_id);
});

check("a stream says the same as a whole answer", async () => {
  const body = { model: "tiny", messages, max_tokens: 40, seed: 5, logprobs: true };
  const whole = await client.chat.completions.create(body);
  const stream = await client.chat.completions.create({ ...body, stream: true, stream_options: { include_usage: true } });
  let text = "", finish = null, usage = null, tokens = [];
  for await (const chunk of stream) {
    text += chunk.choices[0]?.delta.content ?? "";
    finish = chunk.choices[0]?.finish_reason ?? finish;
    tokens.push(...(chunk.choices[0]?.logprobs?.content ?? []));
    usage = chunk.usage ?? usage;
  }
  assert.equal(text, whole.choices[0].message.content);
  assert.equal(finish, whole.choices[0].finish_reason);
  assert.deepEqual(tokens, whole.choices[0].logprobs.content);
  assert.deepEqual(usage, whole.usage);
});

check("the stream helper puts the answer together", async () => {
  const runner = plain.chat.completions.stream({ model: "tiny", messages, max_tokens: 20, seed: 6 });
  const final = await runner.finalChatCompletion();
  assert.equal(typeof final.choices[0].message.content, "string");
});

const tools = [
  { type: "function", function: { name: "get_weather", description: "The weather.", strict: true, parameters: { type: "object", properties: { place: { type: "string", maxLength: 8 }, days: { type: "integer", minimum: 1, maximum: 7 } }, required: ["place", "days"], additionalProperties: false } } },
  { type: "function", function: { name: "get_time", parameters: { type: "object", properties: {}, additionalProperties: false } } },
];

check("tools are called, whole and in a stream, and their results are read", async () => {
  const body = { model: "tiny", messages, tools, tool_choice: "required", max_tokens: 300, seed: 4 };
  const whole = await client.chat.completions.create(body);
  assert.equal(whole.choices[0].finish_reason, "tool_calls");
  const final = await plain.chat.completions.stream(body).finalChatCompletion();
  assert.deepEqual(final.choices[0].message.tool_calls.map((call) => call.function.arguments), whole.choices[0].message.tool_calls.map((call) => call.function.arguments));
  await client.chat.completions.create({ ...body, stream: true }).then(async (stream) => { for await (const _ of stream); });
  for (const call of whole.choices[0].message.tool_calls) {
    const args = JSON.parse(call.function.arguments);
    assert.ok(call.function.name === "get_time" || (args.days >= 1 && args.days <= 7 && args.place.length <= 16));
  }
  const results = whole.choices[0].message.tool_calls.map((call) => ({ role: "tool", tool_call_id: call.id, content: "rain" }));
  await client.chat.completions.create({ model: "tiny", messages: [...messages, whole.choices[0].message, ...results], tools, max_tokens: 50 });
});

check("one tool that is named", async () => {
  const answer = await client.chat.completions.create({ model: "tiny", messages, tools, tool_choice: { type: "function", function: { name: "get_time" } }, max_tokens: 100 });
  assert.deepEqual(answer.choices[0].message.tool_calls.map((call) => [call.function.name, call.function.arguments]), [["get_time", "{}"]]);
});

check("structured outputs", async () => {
  const schema = { type: "object", properties: { name: { type: "string", maxLength: 10 }, tags: { type: "array", items: { enum: ["a", "b"] }, maxItems: 3 } }, required: ["name", "tags"], additionalProperties: false };
  const body = { model: "tiny", messages, max_tokens: 120, seed: 2, response_format: { type: "json_schema", json_schema: { name: "thing", strict: true, schema } } };
  const whole = await client.chat.completions.create(body);
  const thing = JSON.parse(whole.choices[0].message.content);
  assert.deepEqual(Object.keys(thing), ["name", "tags"]);
  assert.ok(thing.tags.every((tag) => ["a", "b"].includes(tag)));
  const parsed = await plain.chat.completions.parse(body);
  assert.deepEqual(parsed.choices[0].message.parsed, thing);
  const object = await client.chat.completions.create({ ...body, response_format: { type: "json_object" } });
  assert.equal(typeof JSON.parse(object.choices[0].message.content), "object");
});

check("the Responses API, whole and in a stream", async () => {
  const body = { model: "tiny", instructions: "Be brief.", input: [{ role: "user", content: [{ type: "input_text", text: "hello world" }] }], max_output_tokens: 30, temperature: 0, include: ["message.output_text.logprobs"], metadata: { a: "b" } };
  const whole = await client.responses.create(body);
  assert.equal(typeof whole.output_text, "string");
  assert.equal(whole.usage.total_tokens, whole.usage.input_tokens + whole.usage.output_tokens);
  assert.deepEqual(whole.metadata, { a: "b" });
  for await (const _ of await client.responses.create({ ...body, stream: true }));
  const final = await plain.responses.stream(body).finalResponse();
  assert.equal(final.output_text, whole.output_text);
  assert.deepEqual([final.status, final.usage.output_tokens], [whole.status, whole.usage.output_tokens]);
});

check("the Responses API calls functions and reads their results", async () => {
  const functions = tools.map(({ function: { name, description, parameters } }) => ({ type: "function", name, description: description ?? null, parameters, strict: true }));
  const body = { model: "tiny", input: "hello", tools: functions, tool_choice: "required", max_output_tokens: 300, parallel_tool_calls: false, seed: 3 };
  const whole = await client.responses.create(body);
  assert.equal(whole.output.length, 1);
  const [call] = whole.output;
  assert.equal(call.type, "function_call");
  JSON.parse(call.arguments);
  const final = await plain.responses.stream(body).finalResponse();
  assert.equal(final.output[0].arguments, call.arguments);
  for await (const _ of await client.responses.create({ ...body, stream: true }));
  await client.responses.create({ model: "tiny", input: [{ role: "user", content: "hello" }, call, { type: "function_call_output", call_id: call.call_id, output: "rain" }], max_output_tokens: 10 });
  const parsed = await client.responses.create({ model: "tiny", input: "hello", max_output_tokens: 60, text: { format: { type: "json_schema", name: "x", strict: true, schema: { type: "object", properties: { a: { type: "boolean" } }, required: ["a"], additionalProperties: false } } } });
  assert.equal(typeof JSON.parse(parsed.output_text).a, "boolean");
  await assert.rejects(client.responses.create({ model: "tiny", input: "x", previous_response_id: "resp_1" }), (error) => error.param === "previous_response_id");
});

check("leaving a stream", async () => {
  const stream = await plain.chat.completions.create({ model: "tiny", messages, stream: true, max_tokens: 5000, seed: 1, ignore_eos: true });
  let chunks = 0;
  for await (const _ of stream) {
    if (++chunks === 5) {
      stream.controller.abort();
      break;
    }
  }
  assert.equal(chunks, 5);
});

check("plain completions", async () => {
  const body = { model: "tiny", prompt: ["hello", "world"], max_tokens: 10, seed: 3, logprobs: 2 };
  const whole = await client.completions.create(body);
  assert.equal(whole.choices.length, 2);
  const texts = ["", ""];
  for await (const chunk of await client.completions.create({ ...body, stream: true })) {
    texts[chunk.choices[0].index] += chunk.choices[0].text;
  }
  assert.deepEqual(texts, whole.choices.map((choice) => choice.text));
});

check("embeddings", async () => {
  const floats = await client.embeddings.create({ model: "tiny", input: ["hello", "hello", "world"], encoding_format: "float" });
  const [one, same, other] = floats.data.map((item) => item.embedding);
  const dot = (a, b) => a.reduce((sum, value, i) => sum + value * b[i], 0);
  assert.ok(Math.abs(dot(one, one) - 1) < 1e-4 && Math.abs(dot(one, same) - 1) < 1e-4 && dot(one, other) < 0.99999);
  const bytes = await plain.embeddings.create({ model: "tiny", input: "hello" });
  assert.ok(bytes.data[0].embedding.every((value, i) => Math.abs(value - one[i]) < 1e-6));
});

check("models", async () => {
  const list = await client.models.list();
  assert.deepEqual(list.data.map((model) => model.id), ["tiny"]);
  assert.equal((await client.models.retrieve("tiny")).owned_by, "trainserve");
});

check("errors have the client's own types", async () => {
  await assert.rejects(client.chat.completions.create({ model: "nobody", messages }), (error) => error instanceof OpenAI.NotFoundError && error.code === "model_not_found" && error.param === "model");
  await assert.rejects(client.chat.completions.create({ model: "tiny", messages, n: 500 }), (error) => error instanceof OpenAI.BadRequestError && error.code === "integer_above_max_value" && error.type === "invalid_request_error");
  await assert.rejects(client.chat.completions.create({ model: "tiny", messages, audio: { voice: "alloy", format: "mp3" } }), (error) => error instanceof OpenAI.BadRequestError && error.param === "audio");
  await assert.rejects(client.embeddings.create({ model: "tiny", input: [] }), OpenAI.APIError);
  assert.ok(await client.chat.completions.create({ model: "nobody", messages }).catch((error) => error.requestID));
});

await runAll();
