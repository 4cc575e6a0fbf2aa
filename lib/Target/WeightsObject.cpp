//===- WeightsObject.cpp - An object file around packed weights -----------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// An ELF file by hand: header, the bytes, symbols, names, section headers. A
// constant, an `.incbin` or LLVM's writer would hold all weights in memory; this
// file is written piece by piece, and the linker maps it.
//
//===----------------------------------------------------------------------===//

#include "treadle/Dialect/Treadle/IR/Layout.h"
#include "treadle/Support/Error.h"
#include "treadle/Target/LinkLibrary.h"
#include "llvm/ADT/ScopeExit.h"
#include "llvm/BinaryFormat/ELF.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/raw_ostream.h"
#include "llvm/TargetParser/Triple.h"
#include <vector>

using namespace llvm;
using namespace llvm::ELF;
using namespace treadle;

template <typename T> static void writeStruct(raw_ostream &os, const T &value) {
  os.write(reinterpret_cast<const char *>(&value), sizeof value);
}

static void alignTo(raw_pwrite_stream &os, uint64_t alignment) {
  os.write_zeros(offsetToAlignment(os.tell(), Align(alignment)));
}

/// The names of sections and symbols in one string table.
namespace {
class NameTable {
public:
  uint32_t add(StringRef name) {
    uint32_t offset = bytes.size();
    bytes += name;
    bytes += '\0';
    return offset;
  }
  StringRef getBytes() const { return bytes; }

private:
  std::string bytes = std::string(1, '\0');
};
} // namespace

/// Copies a file to the end of `os`, one piece at a time.
static Error copyFile(StringRef from, raw_ostream &os) {
  Expected<sys::fs::file_t> file = sys::fs::openNativeFileForRead(from);
  if (!file)
    return makeError(from + ": " + toString(file.takeError()));
  auto close = make_scope_exit([&] { sys::fs::closeFile(*file); });
  std::vector<char> piece(1 << 20);
  for (;;) {
    Expected<size_t> size = sys::fs::readNativeFile(*file, piece);
    if (!size)
      return makeError(from + ": " + toString(size.takeError()));
    if (*size == 0)
      return Error::success();
    os.write(piece.data(), *size);
  }
}

static Elf64_Shdr makeSection(uint32_t name, uint32_t type, uint64_t flags, uint64_t offset,
                              uint64_t size, uint64_t alignment) {
  Elf64_Shdr section{};
  section.sh_name = name;
  section.sh_type = type;
  section.sh_flags = flags;
  section.sh_offset = offset;
  section.sh_size = size;
  section.sh_addralign = alignment;
  return section;
}

static Elf64_Ehdr makeHeader(const Triple &triple) {
  Elf64_Ehdr header{};
  llvm::copy(StringRef(ElfMagic, 4), header.e_ident);
  header.e_ident[EI_CLASS] = ELFCLASS64;
  header.e_ident[EI_DATA] = ELFDATA2LSB;
  header.e_ident[EI_VERSION] = EV_CURRENT;
  header.e_type = ET_REL;
  header.e_machine = triple.isAArch64() ? EM_AARCH64 : EM_X86_64;
  header.e_version = EV_CURRENT;
  header.e_ehsize = sizeof(Elf64_Ehdr);
  header.e_shentsize = sizeof(Elf64_Shdr);
  return header;
}

Error treadle::writeWeightsObject(StringRef weightsFile, StringRef triple, raw_pwrite_stream &os) {
  enum Section : uint16_t { nullSection, dataSection, symbolSection, nameSection, sectionCount };

  Elf64_Ehdr header = makeHeader(Triple(triple));
  writeStruct(os, header);
  alignTo(os, slotAlignment);
  uint64_t dataOffset = os.tell();
  if (Error error = copyFile(weightsFile, os))
    return error;
  uint64_t dataSize = os.tell() - dataOffset;

  NameTable names;
  Elf64_Sym symbols[2] = {};
  symbols[1].st_name = names.add("treadle_weights_begin");
  symbols[1].setBindingAndType(STB_GLOBAL, STT_OBJECT);
  symbols[1].st_other = STV_HIDDEN;
  symbols[1].st_shndx = dataSection;
  symbols[1].st_size = dataSize;
  alignTo(os, 8);
  uint64_t symbolOffset = os.tell();
  writeStruct(os, symbols);

  Elf64_Shdr sections[sectionCount] = {};
  sections[dataSection] = makeSection(names.add(".rodata.treadle_weights"), SHT_PROGBITS, SHF_ALLOC,
                                      dataOffset, dataSize, slotAlignment);
  sections[symbolSection] =
      makeSection(names.add(".symtab"), SHT_SYMTAB, 0, symbolOffset, sizeof symbols, 8);
  sections[symbolSection].sh_link = nameSection;
  sections[symbolSection].sh_info = 1; // the first symbol that is not local
  sections[symbolSection].sh_entsize = sizeof(Elf64_Sym);
  uint32_t nameOfNames = names.add(".strtab");
  sections[nameSection] =
      makeSection(nameOfNames, SHT_STRTAB, 0, os.tell(), names.getBytes().size(), 1);
  os << names.getBytes();

  alignTo(os, 8);
  header.e_shoff = os.tell();
  header.e_shnum = sectionCount;
  header.e_shstrndx = nameSection;
  writeStruct(os, sections);
  os.pwrite(reinterpret_cast<const char *>(&header), sizeof header, 0);
  return Error::success();
}
