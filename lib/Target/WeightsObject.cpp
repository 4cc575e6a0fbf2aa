//===- WeightsObject.cpp - Packed weights inside a library ----------------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The linker sees room without content (like .bss), which it places last in the
// library. The weights go there afterwards, from file to file: a constant, an
// `.incbin` or an object file around them would stand in the compiler's and in
// the linker's memory, and once more on the disk.
//
//===----------------------------------------------------------------------===//

#include "treadle/Dialect/Treadle/IR/Layout.h"
#include "treadle/Support/Error.h"
#include "treadle/Target/LinkLibrary.h"
#include "llvm/ADT/ScopeExit.h"
#include "llvm/BinaryFormat/ELF.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/raw_ostream.h"
#include "llvm/TargetParser/Triple.h"
#include <vector>

using namespace llvm;
using namespace llvm::ELF;
using namespace treadle;

static constexpr StringLiteral roomName = ".treadle_weights";

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

void treadle::writeWeightsObject(uint64_t bytes, StringRef triple, raw_pwrite_stream &os) {
  enum Section : uint16_t { nullSection, roomSection, symbolSection, nameSection, sectionCount };

  Elf64_Ehdr header = makeHeader(Triple(triple));
  writeStruct(os, header);

  NameTable names;
  Elf64_Sym symbols[2] = {};
  symbols[1].st_name = names.add("treadle_weights_begin");
  symbols[1].setBindingAndType(STB_GLOBAL, STT_OBJECT);
  symbols[1].st_other = STV_HIDDEN;
  symbols[1].st_shndx = roomSection;
  symbols[1].st_size = bytes;
  alignTo(os, 8);
  uint64_t symbolOffset = os.tell();
  writeStruct(os, symbols);

  // Room for writing comes last in a library.
  Elf64_Shdr sections[sectionCount] = {};
  sections[roomSection] = makeSection(names.add(roomName), SHT_NOBITS, SHF_ALLOC | SHF_WRITE,
                                      os.tell(), bytes, slotAlignment);
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
}

//===----------------------------------------------------------------------===//
// The linked library
//===----------------------------------------------------------------------===//

namespace {
/// A library as the linker wrote it: small, since its weights are missing. The
/// table of sections stands at its end.
struct LinkedLibrary {
  std::unique_ptr<MemoryBuffer> file;
  Elf64_Ehdr header;
  std::vector<Elf64_Phdr> segments;
  std::vector<Elf64_Shdr> sections;
  Elf64_Phdr *segment = nullptr; ///< the one that ends with the room
  Elf64_Shdr *room = nullptr;

  static Expected<LinkedLibrary> read(StringRef path);
};
} // namespace

template <typename T>
static std::vector<T> readTable(StringRef bytes, uint64_t offset, uint64_t count) {
  std::vector<T> table(count);
  assert(offset + count * sizeof(T) <= bytes.size() && "expected a whole file from the linker");
  std::memcpy(table.data(), bytes.data() + offset, count * sizeof(T));
  return table;
}

Expected<LinkedLibrary> LinkedLibrary::read(StringRef path) {
  LinkedLibrary library;
  // Read, not mapped: the file is about to change.
  ErrorOr<std::unique_ptr<MemoryBuffer>> file =
      MemoryBuffer::getFile(path, /*IsText=*/false, /*RequiresNullTerminator=*/false,
                            /*IsVolatile=*/true);
  if (!file)
    return makeError(path + ": " + file.getError().message());
  library.file = std::move(*file);
  StringRef bytes = library.file->getBuffer();
  library.header = readTable<Elf64_Ehdr>(bytes, 0, 1).front();
  const Elf64_Ehdr &header = library.header;
  library.segments = readTable<Elf64_Phdr>(bytes, header.e_phoff, header.e_phnum);
  library.sections = readTable<Elf64_Shdr>(bytes, header.e_shoff, header.e_shnum);

  StringRef names = bytes.substr(library.sections[header.e_shstrndx].sh_offset);
  for (Elf64_Shdr &section : library.sections)
    if (StringRef(names.data() + section.sh_name) == roomName)
      library.room = &section;
  if (!library.room)
    return makeError("expected room for weights in the linked library");
  uint64_t end = library.room->sh_addr + library.room->sh_size;
  for (Elf64_Phdr &segment : library.segments)
    if (segment.p_type == PT_LOAD && segment.p_vaddr + segment.p_memsz == end)
      library.segment = &segment;
  if (!library.segment)
    return makeError("expected the room for weights at the end of a segment");
  return std::move(library);
}

/// Copies a file to the end of `os`, one piece at a time.
static Error copyFile(StringRef from, raw_ostream &os,
                      function_ref<void(uint64_t, uint64_t)> progress, uint64_t total) {
  Expected<sys::fs::file_t> file = sys::fs::openNativeFileForRead(from);
  if (!file)
    return makeError(from + ": " + toString(file.takeError()));
  auto close = llvm::scope_exit([&] { sys::fs::closeFile(*file); });
  std::vector<char> piece(1 << 20);
  for (uint64_t done = 0;; progress(done, total)) {
    Expected<size_t> size = sys::fs::readNativeFile(*file, piece);
    if (!size)
      return makeError(from + ": " + toString(size.takeError()));
    if (*size == 0)
      return Error::success();
    os.write(piece.data(), *size);
    done += *size;
  }
}

/// Moves the last segment to the end of the file, and fills it. `os` ends where
/// the table of sections began.
static Error fill(LinkedLibrary &library, StringRef weightsFile,
                  function_ref<void(uint64_t, uint64_t)> progress, raw_fd_ostream &os) {
  Elf64_Phdr &segment = *library.segment;
  StringRef before = library.file->getBuffer().substr(segment.p_offset, segment.p_filesz);
  alignTo(os, segment.p_align);
  os.write_zeros(segment.p_vaddr % segment.p_align);
  segment.p_offset = os.tell();
  os << before;
  os.write_zeros(library.room->sh_addr - segment.p_vaddr - before.size());
  if (Error error = copyFile(weightsFile, os, progress, library.room->sh_size))
    return error;
  segment.p_filesz = segment.p_memsz;

  for (Elf64_Shdr &section : library.sections) {
    if (!(section.sh_flags & SHF_ALLOC) || section.sh_addr < segment.p_vaddr ||
        section.sh_addr >= segment.p_vaddr + segment.p_memsz)
      continue;
    section.sh_offset = segment.p_offset + section.sh_addr - segment.p_vaddr;
    if (section.sh_type == SHT_NOBITS)
      section.sh_type = SHT_PROGBITS;
  }
  // Nothing else of the library may be written, unless it is instrumented.
  if (library.room->sh_addr == segment.p_vaddr) {
    segment.p_flags = PF_R;
    library.room->sh_flags = SHF_ALLOC;
  }
  return Error::success();
}

Error treadle::embedWeights(StringRef libraryFile, StringRef weightsFile,
                            function_ref<void(uint64_t, uint64_t)> progress) {
  Expected<LinkedLibrary> library = LinkedLibrary::read(libraryFile);
  if (!library)
    return library.takeError();
  Elf64_Ehdr &header = library->header;

  int file;
  if (std::error_code code = sys::fs::openFileForReadWrite(
          libraryFile, file, sys::fs::CD_OpenExisting, sys::fs::OF_None))
    return makeError(libraryFile + ": cannot write: " + code.message());
  raw_fd_ostream os(file, /*shouldClose=*/true);
  os.seek(header.e_shoff);
  Error error = fill(*library, weightsFile, progress, os);
  alignTo(os, 8);
  header.e_shoff = os.tell();
  for (const Elf64_Shdr &section : library->sections)
    writeStruct(os, section);
  os.pwrite(reinterpret_cast<const char *>(&header), sizeof header, 0);
  os.pwrite(reinterpret_cast<const char *>(library->segments.data()),
            library->segments.size() * sizeof(Elf64_Phdr), header.e_phoff);
  os.flush();
  std::error_code code = os.error();
  os.clear_error();
  if (error)
    return error;
  return code ? makeError(libraryFile + ": cannot write: " + code.message()) : Error::success();
}
