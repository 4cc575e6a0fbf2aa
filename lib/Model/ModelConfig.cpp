//===- ModelConfig.cpp - A typed config and its fields --------------------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "treadle/Model/ModelConfig.h"

#include "treadle/Model/Family.h"
#include "llvm/ADT/StringExtras.h"

using namespace llvm;
using namespace treadle;

//===----------------------------------------------------------------------===//
// Field
//===----------------------------------------------------------------------===//

static Field makeField(StringRef key, Field::Kind kind, StringRef help) {
  Field field;
  field.key = key;
  field.kind = kind;
  field.help = help;
  return field;
}

Field Field::integer(StringRef key, int64_t min, int64_t max, StringRef help) {
  Field field = makeField(key, Kind::integer, help);
  field.min = static_cast<double>(min);
  field.max = static_cast<double>(max);
  return field;
}

Field Field::number(StringRef key, double min, double max, StringRef help) {
  Field field = makeField(key, Kind::number, help);
  field.min = min;
  field.max = max;
  return field;
}

Field Field::flag(StringRef key, StringRef help) { return makeField(key, Kind::flag, help); }

Field Field::choice(StringRef key, std::vector<std::string> choices, StringRef help) {
  Field field = makeField(key, Kind::choice, help);
  field.fallback = choices.front();
  field.choices = std::move(choices);
  return field;
}

Field Field::ids(StringRef key, StringRef help) { return makeField(key, Kind::ids, help); }

Field Field::someOf(StringRef key, std::vector<std::string> choices, StringRef help) {
  Field field = makeField(key, Kind::choices, help);
  field.choices = std::move(choices);
  return field;
}

Field Field::integers(StringRef key, int64_t min, int64_t max, StringRef help) {
  Field field = integer(key, min, max, help);
  field.kind = Kind::integers;
  return field;
}

Field Field::numbers(StringRef key, double min, double max, StringRef help) {
  Field field = number(key, min, max, help);
  field.kind = Kind::numbers;
  return field;
}

Field Field::object(StringRef key, std::vector<Field> members, StringRef help) {
  Field field = makeField(key, Kind::object, help);
  field.members = std::move(members);
  return field;
}

Field Field::objects(StringRef key, std::vector<Field> members, StringRef help) {
  Field field = object(key, std::move(members), help);
  field.kind = Kind::objects;
  return field;
}

Field Field::inert(StringRef key, StringRef help) { return makeField(key, Kind::inert, help); }

Field Field::require() const {
  Field field = *this;
  field.required = true;
  field.fallback.reset();
  return field;
}

Field Field::otherwise(ConfigValue value) const {
  Field field = *this;
  field.fallback = std::move(value);
  return field;
}

Field Field::called(StringRef otherKey) const {
  Field field = *this;
  field.alias = otherKey;
  return field;
}

Field Field::leftOpenBy(ConfigValue value) const {
  Field field = *this;
  field.open = std::move(value);
  return field;
}

std::vector<Field> treadle::getInertFields() {
  std::vector<Field> fields;
  for (StringRef key : {"_name_or_path",
                        "architectures",
                        "auto_map",
                        "transformers_version",
                        "torch_dtype",
                        "dtype",
                        "use_cache",
                        "return_dict",
                        "output_attentions",
                        "output_hidden_states",
                        "is_decoder",
                        "is_encoder_decoder",
                        "chunk_size_feed_forward",
                        "pretraining_tp",
                        "tokenizer_class",
                        "bos_token_id",
                        "pad_token_id",
                        "unk_token_id",
                        "sep_token_id",
                        "decoder_start_token_id",
                        "prefix",
                        "id2label",
                        "label2id",
                        "num_labels",
                        "problem_type",
                        "finetuning_task",
                        "task_specific_params",
                        "pruned_heads",
                        "add_cross_attention",
                        "cross_attention_hidden_size",
                        "tie_encoder_decoder",
                        "torchscript",
                        "tf_legacy_loss",
                        "use_bfloat16",
                        "_attn_implementation",
                        "_attn_implementation_autoset",
                        "_commit_hash"})
    fields.push_back(Field::inert(key, "bookkeeping"));
  for (StringRef key : {"bad_words_ids",
                        "begin_suppress_tokens",
                        "diversity_penalty",
                        "do_sample",
                        "early_stopping",
                        "encoder_no_repeat_ngram_size",
                        "exponential_decay_length_penalty",
                        "forced_bos_token_id",
                        "forced_eos_token_id",
                        "length_penalty",
                        "max_length",
                        "min_length",
                        "no_repeat_ngram_size",
                        "num_beam_groups",
                        "num_beams",
                        "num_return_sequences",
                        "output_scores",
                        "remove_invalid_values",
                        "repetition_penalty",
                        "return_dict_in_generate",
                        "suppress_tokens",
                        "temperature",
                        "top_k",
                        "top_p",
                        "typical_p"})
    fields.push_back(Field::inert(key, "how to generate is said at each call"));
  for (StringRef key : {"attention_dropout", "attn_dropout", "dropout", "dropout_rate",
                        "embd_pdrop", "gradient_checkpointing", "hidden_dropout",
                        "initializer_range", "label_smoothing", "resid_pdrop"})
    fields.push_back(Field::inert(key, "training only"));
  return fields;
}

//===----------------------------------------------------------------------===//
// ModelConfig
//===----------------------------------------------------------------------===//

const ConfigValue *ConfigValues::find(StringRef key) const {
  auto it = values.find(key);
  return it == values.end() ? nullptr : &it->second;
}

Error ModelConfig::error(StringRef key, const Twine &message) const {
  std::string pointer;
  for (StringRef step : split(key, '/'))
    pointer += jsonPointer(step);
  return makeError(file + ": " + pointer + ": " + message);
}

Error treadle::checkIds(const ModelConfig &config, StringRef key, int64_t vocabulary) {
  const ConfigValue *value = config.values.find(key);
  const int64_t *alone = std::get_if<int64_t>(value);
  for (int64_t id : alone ? ArrayRef(*alone) : config.values.ids(key))
    if (id >= vocabulary)
      return config.error(key, "expected ids below vocab_size " + Twine(vocabulary) + ", got " +
                                   Twine(id));
  return Error::success();
}

namespace {
struct JsonVisitor {
  json::Value operator()(const OpenNumbers &held) {
    json::Array items;
    for (std::optional<double> number : held)
      items.push_back(number ? json::Value(*number) : json::Value(nullptr));
    return items;
  }
  template <typename T> json::Value operator()(const T &held) { return held; }
};
} // namespace

json::Value treadle::toJson(const ConfigValue &value) { return std::visit(JsonVisitor(), value); }

static void addFields(ArrayRef<Field> fields, const std::string &path, const ConfigValues &values,
                      json::Object &object);

/// An object that is there, or null; `path` leads to it.
static json::Value objectToJson(const Field &field, const std::string &path,
                                const ConfigValues &values) {
  if (!values.has(path) || !values.flag(path))
    return nullptr;
  json::Object object;
  addFields(field.members, path + "/", values, object);
  return object;
}

/// Adds the fields that have a value; `path` leads to them.
static void addFields(ArrayRef<Field> fields, const std::string &path, const ConfigValues &values,
                      json::Object &object) {
  for (const Field &field : fields) {
    std::string key = path + field.key.str();
    const ConfigValue *value = values.find(key);
    if (!value)
      continue;
    if (field.kind == Field::Kind::object) {
      object[field.key] = objectToJson(field, key, values);
    } else if (field.kind == Field::Kind::objects) {
      json::Array items;
      for (int64_t i = 0, count = values.integer(key); i < count; ++i)
        items.push_back(objectToJson(field, key + "/" + std::to_string(i), values));
      object[field.key] = std::move(items);
    } else {
      object[field.key] = treadle::toJson(*value);
    }
  }
}

json::Object ModelConfig::toJson() const {
  json::Object object = metadata;
  object["model_type"] = family->getName();
  addFields(family->getFields(), "", values, object);
  return object;
}
