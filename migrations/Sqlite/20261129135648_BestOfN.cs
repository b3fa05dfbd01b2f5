using System;
using Microsoft.EntityFrameworkCore.Migrations;

#nullable disable

namespace Portal.Data.Sqlite
{
    /// <inheritdoc />
    public partial class BestOfN : Migration
    {
        /// <inheritdoc />
        protected override void Up(MigrationBuilder migrationBuilder)
        {
            migrationBuilder.CreateTable(
                name: "BestOfNAnswers",
                columns: table => new
                {
                    Id = table.Column<long>(type: "INTEGER", nullable: false)
                        .Annotation("Sqlite:Autoincrement", true),
                    JobId = table.Column<Guid>(type: "TEXT", nullable: false),
                    PromptId = table.Column<Guid>(type: "TEXT", nullable: false),
                    ResponseId = table.Column<Guid>(type: "TEXT", nullable: false),
                    Ordinal = table.Column<int>(type: "INTEGER", nullable: false),
                    RewardBefore = table.Column<double>(type: "REAL", nullable: false),
                    RewardAfter = table.Column<double>(type: "REAL", nullable: false),
                    IsBestBefore = table.Column<bool>(type: "INTEGER", nullable: false),
                    IsBestAfter = table.Column<bool>(type: "INTEGER", nullable: false)
                },
                constraints: table =>
                {
                    table.PrimaryKey("PK_BestOfNAnswers", x => x.Id);
                });

            migrationBuilder.CreateTable(
                name: "BestOfNRuns",
                columns: table => new
                {
                    JobId = table.Column<Guid>(type: "TEXT", nullable: false),
                    ProjectId = table.Column<Guid>(type: "TEXT", nullable: false),
                    PolicyId = table.Column<Guid>(type: "TEXT", nullable: false),
                    BeforeId = table.Column<Guid>(type: "TEXT", nullable: false),
                    AfterId = table.Column<Guid>(type: "TEXT", nullable: false),
                    Prompts = table.Column<int>(type: "INTEGER", nullable: false),
                    AnswersPerPrompt = table.Column<int>(type: "INTEGER", nullable: false),
                    FiguresJson = table.Column<string>(type: "TEXT", nullable: false),
                    At = table.Column<long>(type: "INTEGER", nullable: false)
                },
                constraints: table =>
                {
                    table.PrimaryKey("PK_BestOfNRuns", x => x.JobId);
                    table.ForeignKey(
                        name: "FK_BestOfNRuns_ModelVersions_AfterId",
                        column: x => x.AfterId,
                        principalTable: "ModelVersions",
                        principalColumn: "Id",
                        onDelete: ReferentialAction.Restrict);
                });

            migrationBuilder.CreateIndex(
                name: "IX_BestOfNAnswers_JobId_PromptId_Ordinal",
                table: "BestOfNAnswers",
                columns: new[] { "JobId", "PromptId", "Ordinal" },
                unique: true);

            migrationBuilder.CreateIndex(
                name: "IX_BestOfNRuns_AfterId_At",
                table: "BestOfNRuns",
                columns: new[] { "AfterId", "At" });
        }

        /// <inheritdoc />
        protected override void Down(MigrationBuilder migrationBuilder)
        {
            migrationBuilder.DropTable(
                name: "BestOfNAnswers");

            migrationBuilder.DropTable(
                name: "BestOfNRuns");
        }
    }
}
