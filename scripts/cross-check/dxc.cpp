// Compiles HLSL files with a DXC library, one after the other: dxc LIBRARY PROFILE FILE...
// A file's first line names its entry point: `// entry NAME`. Prints what fails; the exit code is 0 only if nothing did.

#include <dlfcn.h>

#include <cstdio>
#include <fstream>
#include <sstream>
#include <string>

#include "dxcapi.h"

int main(int count, char** given) {
    if (count < 4) return std::fprintf(stderr, "usage: dxc LIBRARY PROFILE FILE...\n"), 2;
    void* library = dlopen(given[1], RTLD_NOW);
    if (!library) return std::fprintf(stderr, "%s\n", dlerror()), 2;
    auto create = reinterpret_cast<DxcCreateInstanceProc>(dlsym(library, "DxcCreateInstance"));
    IDxcLibrary* blobs = nullptr;
    IDxcCompiler* compiler = nullptr;
    if (!create || create(CLSID_DxcLibrary, __uuidof(IDxcLibrary), reinterpret_cast<void**>(&blobs)) != S_OK ||
        create(CLSID_DxcCompiler, __uuidof(IDxcCompiler), reinterpret_cast<void**>(&compiler)) != S_OK)
        return std::fprintf(stderr, "%s is no DXC\n", given[1]), 2;
    const std::string narrow = given[2];
    const std::wstring profile(narrow.begin(), narrow.end());
    int failed = 0;
    for (int i = 3; i < count; i++) {
        std::ifstream file(given[i]);
        std::stringstream all;
        all << file.rdbuf();
        const std::string text = all.str();
        const std::string mark = "// entry ";
        if (text.rfind(mark, 0) != 0) return std::fprintf(stderr, "%s names no entry point\n", given[i]), 2;
        const std::string name = text.substr(mark.size(), text.find('\n') - mark.size());
        const std::wstring entry(name.begin(), name.end());
        IDxcBlobEncoding* source = nullptr;
        IDxcOperationResult* result = nullptr;
        HRESULT status = blobs->CreateBlobWithEncodingOnHeapCopy(text.data(), text.size(), CP_UTF8, &source);
        if (status == S_OK)
            status = compiler->Compile(source, nullptr, entry.c_str(), profile.c_str(), nullptr, 0, nullptr, 0, nullptr, &result);
        if (status == S_OK) result->GetStatus(&status);
        if (status != S_OK) {
            failed++;
            IDxcBlobEncoding* problem = nullptr;
            if (result && result->GetErrorBuffer(&problem) == S_OK && problem->GetBufferSize() > 0)
                std::printf("FAILED %s:\n%.*s\n", given[i], int(problem->GetBufferSize()), static_cast<const char*>(problem->GetBufferPointer()));
            else
                std::printf("FAILED %s\n", given[i]);
        }
    }
    std::printf("%d of %d files compiled\n", count - 3 - failed, count - 3);
    return failed == 0 ? 0 : 1;
}
