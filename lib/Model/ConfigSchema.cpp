//===- ConfigSchema.cpp - The JSON Schema of configs ----------------------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "treadle/Model/Family.h"
#include "llvm/Support/raw_ostream.h"

using namespace llvm;
using namespace treadle;

static json::Value toNumber(double number) {
  auto integer = static_cast<int64_t>(number);
  return static_cast<double>(integer) == number ? json::Value(integer) : json::Value(number);
}

static json::Object describe(const Field &field);

/// Adds the properties of an object to its schema, and which of them it needs.
static void describeMembers(ArrayRef<Field> fields, json::Object properties, json::Array required,
                            json::Object &schema) {
  for (const Field &field : fields) {
    properties[field.key] = describe(field);
    if (!field.alias.empty())
      properties[field.alias] = describe(field);
    if (field.required)
      required.push_back(field.key);
  }
  schema["properties"] = std::move(properties);
  schema["required"] = std::move(required);
  schema["additionalProperties"] = false;
}

/// The schema of one field's value; null stands for an absent one.
static json::Object describe(const Field &field) {
  json::Object schema;
  auto setType = [&](StringRef type) {
    schema["type"] = field.required ? json::Value(type) : json::Value(json::Array{type, "null"});
  };
  switch (field.kind) {
  case Field::Kind::integer:
  case Field::Kind::number:
    setType(field.kind == Field::Kind::integer ? "integer" : "number");
    schema["minimum"] = toNumber(field.min);
    schema["maximum"] = toNumber(field.max);
    break;
  case Field::Kind::flag:
    setType("boolean");
    break;
  case Field::Kind::choice: {
    json::Array choices;
    for (const std::string &choice : field.choices)
      choices.push_back(choice);
    if (!field.required)
      choices.push_back(nullptr);
    schema["enum"] = std::move(choices);
    break;
  }
  case Field::Kind::ids: {
    json::Object id{{"type", "integer"}, {"minimum", 0}};
    schema["anyOf"] =
        json::Array{json::Object(id), json::Object{{"type", "array"}, {"items", std::move(id)}},
                    json::Object{{"type", "null"}}};
    break;
  }
  case Field::Kind::choices: {
    json::Array choices;
    for (const std::string &choice : field.choices)
      choices.push_back(choice);
    setType("array");
    schema["items"] = json::Object{{"enum", std::move(choices)}};
    schema["minItems"] = 1;
    break;
  }
  case Field::Kind::integers:
  case Field::Kind::numbers: {
    bool isInteger = field.kind == Field::Kind::integers;
    setType("array");
    schema["items"] = json::Object{
        {"type", isInteger ? json::Value("integer") : json::Value(json::Array{"number", "null"})},
        {"minimum", toNumber(field.min)},
        {"maximum", toNumber(field.max)}};
    break;
  }
  case Field::Kind::object:
    setType("object");
    describeMembers(field.members, json::Object(), json::Array(), schema);
    break;
  case Field::Kind::objects: {
    json::Object item{{"type", json::Array{"object", "null"}}};
    describeMembers(field.members, json::Object(), json::Array(), item);
    setType("array");
    schema["items"] = std::move(item);
    break;
  }
  case Field::Kind::inert:
    break;
  }
  schema["description"] = field.help;
  if (field.fallback)
    schema["default"] = toJson(*field.fallback);
  return schema;
}

static json::Object describe(const Family &family) {
  json::Object schema{{"title", family.getName()}, {"type", "object"}};
  json::Object properties{{"model_type", json::Object{{"const", family.getName()}}}};
  for (const Field &field : getInertFields())
    properties[field.key] = describe(field);
  describeMembers(family.getFields(), std::move(properties), json::Array{"model_type"}, schema);
  return schema;
}

void treadle::printConfigSchema(const FamilyRegistry &families, raw_ostream &os) {
  json::Array variants;
  for (const std::unique_ptr<Family> &family : families.getFamilies())
    variants.push_back(describe(*family));
  json::Object schema{{"$schema", "https://json-schema.org/draft/2020-12/schema"},
                      {"title", "Config of a model that Treadle compiles"},
                      {"oneOf", std::move(variants)}};
  printJson(std::move(schema), os, /*indent=*/2);
  os << '\n';
}
